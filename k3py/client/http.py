"""The client over HTTPS: agents, kubelets on other machines, command line.

One connection pool; certificates may be renewed while it runs. Failures to reach the server are `Unreachable` (an ApiError 503), so
that callers handle one exception. Requests that the server refused unseen (429) are repeated after its Retry-After.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, Self

import aiohttp
import orjson

from k3py.api.status import ApiError
from k3py.client.errors import Unreachable
from k3py.client.interface import ObjectList, PatchType, WatchEvent
from k3py.client.local import make_delete_options

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject, JsonValue

PAGE: Final = 500
REQUEST_TIMEOUT_S: Final = 60.0
CONNECT_TIMEOUT_S: Final = 10.0
WATCH_MIN_S: Final = 300
SILENCE_S: Final = 150.0  # a live watch carries a bookmark a minute
TRIES: Final = 10


class HttpClient:
    """A client of the API server at `server`; an async context manager.

    Args:
        server: "https://host:port".
        tls: context with the CA and the client certificate, None = none (http). Loading a renewed certificate into it is enough
            to have new connections use it.
        token: returns the bearer token to send now, "" = none.
        user_agent: names the component.
        server_hostname: name to verify in the server's certificate, "" = the host of `server`.
    """

    def __init__(
        self,
        server: str,
        *,
        tls: ssl.SSLContext | None = None,
        token: Callable[[], str] | None = None,
        user_agent: str = "k3py",
        server_hostname: str = "",
    ) -> None:
        self._server = server.rstrip("/")
        self._tls = tls
        self._token = token
        self._user_agent = user_agent
        self._server_hostname = server_hostname or None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        subresource: str = "",
        options: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Return an object."""
        return await self.request("GET", resource.path(namespace, name, subresource), query=options)

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        """Return all matching objects, page by page."""
        path = resource.path(namespace)
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        if resource_version:
            query["resourceVersion"] = resource_version
        else:
            query["limit"] = str(PAGE)
        items: list[JsonObject] = []
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        while True:
            page = await self.request("GET", path, query=query)
            # Items of a list carry neither kind nor apiVersion with some servers.
            items += [{**head, **one} for one in page.get("items") or ()]
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return ObjectList(items, str(metadata.get("resourceVersion", "")))
            query = {**query, "continue": metadata["continue"]}

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Follow changes behind `resource_version`."""
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        query |= _query(resourceVersion=resource_version, watch="true", allowWatchBookmarks="true")
        # Spread over 5 to 10 minutes, so that not all watches of a cluster end at once.
        query["timeoutSeconds"] = str(random.randint(WATCH_MIN_S, 2 * WATCH_MIN_S))  # noqa: S311
        return self._watch(resource.path(namespace), query)

    @asynccontextmanager
    async def _watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_S)
        with _translated(f"watch of {path}"):
            response = await self._open_session().get(
                self._server + path,
                params=query,
                headers=self._headers(),
                timeout=timeout,
                ssl=self._tls or True,
                server_hostname=self._server_hostname,
            )
        try:
            if response.status != 200:
                with _translated(f"watch of {path}"):
                    answer = await response.read()
                raise _make_error(response, answer)
            async with aclosing(_read_events(response.content, path)) as events:
                yield events
        finally:
            response.close()

    async def create(
        self,
        resource: Resource,
        obj: JsonObject,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> JsonObject:
        """Create an object, or POST to a subresource."""
        if not namespace and resource.namespaced:
            namespace = (obj.get("metadata") or {}).get("namespace", "")
        return await self.request("POST", resource.path(namespace, name, subresource), body=obj)

    async def update(self, resource: Resource, obj: JsonObject, *, subresource: str = "") -> JsonObject:
        """Replace an object."""
        metadata = obj["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"], subresource)
        return await self.request("PUT", path, body=obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: JsonValue,
        *,
        patch_type: PatchType = PatchType.STRATEGIC,
        namespace: str = "",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> JsonObject:
        """Patch an object."""
        query = _query(fieldManager=field_manager, force="true" if force else "")
        path = resource.path(namespace, name, subresource)
        return await self.request("PATCH", path, query=query, body=patch, content_type=patch_type.value)

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        grace_period_s: int | None = None,
        propagation_policy: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Delete an object."""
        body = make_delete_options(grace_period_s, propagation_policy, uid, resource_version)
        await self.request("DELETE", resource.path(namespace, name), body=body)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonValue = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> JsonObject:
        """Send a request and return the answered document (JSON, whatever `accept` asks for).

        Raises:
            ApiError: as answered; Unreachable when there was no complete answer.
        """
        data = None if body is None else orjson.dumps(body)
        for attempt in range(TRIES):
            try:
                with _translated(f"{method} {path}"):
                    return await self._send(method, path, query, data, content_type, accept)
            except ApiError as error:
                if error.code != 429 or error.retry_after_s is None or attempt == TRIES - 1:
                    raise
                await asyncio.sleep(error.retry_after_s)
        raise Unreachable(f"{method} {path}: too many requests")

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, accept: str = "*/*"
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open a GET whose answer is read as it comes (pod logs); no time limit.

        Raises:
            ApiError: as answered.
        """
        with _translated(f"GET {path}"):
            async with self._open_session().get(
                self._server + path,
                params=query,
                headers=self._headers() | {"Accept": accept},
                ssl=self._tls or True,
                server_hostname=self._server_hostname,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                if response.status >= 400:
                    raise _make_error(response, await response.read())
                yield response.content

    @asynccontextmanager
    async def web_socket(
        self, path: str, *, query: Sequence[tuple[str, str]], protocols: Sequence[str]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket (exec, attach) that speaks one of `protocols`.

        Raises:
            ApiError: refused.
        """
        try:
            async with self._open_session().ws_connect(
                self._server + path,
                params=query,
                protocols=protocols,
                headers=self._headers(),
                ssl=self._tls or True,
                server_hostname=self._server_hostname,
            ) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            raise ApiError(error.status, "", f"cannot upgrade the connection: {error.message}") from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
        content_type: str,
        accept: str,
    ) -> JsonObject:
        headers = self._headers()
        headers["Accept"] = accept
        if data is not None:
            headers["Content-Type"] = content_type
        async with self._open_session().request(
            method,
            self._server + path,
            params=query,
            data=data,
            headers=headers,
            ssl=self._tls or True,
            server_hostname=self._server_hostname,
        ) as response:
            answer = await response.read()
            if response.status >= 400:
                raise _make_error(response, answer)
            document: JsonObject = orjson.loads(answer)
            return document

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": self._user_agent}
        token = self._token() if self._token is not None else ""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read_events(content: aiohttp.StreamReader, path: str) -> AsyncGenerator[WatchEvent, None]:
    rest = b""
    while True:
        with _translated(f"watch of {path}"):
            chunk = await content.readany()
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not line.strip():
                continue
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                raise ApiError.from_status(event["object"])
            yield WatchEvent(event["type"], event["object"])


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unreachable(f"{what}: {str(error) or type(error).__name__}") from error


def _make_error(response: aiohttp.ClientResponse, answer: bytes) -> ApiError:
    retry_after = response.headers.get("Retry-After", "")
    try:
        error = ApiError.from_status(orjson.loads(answer), http_code=response.status)
    except (orjson.JSONDecodeError, AttributeError):
        text = answer[:1024].decode(errors="replace").strip() or str(response.reason)
        error = ApiError(response.status, "", text)
    if error.retry_after_s is None and retry_after.isdigit():
        error.retry_after_s = int(retry_after)
    return error


def _query(**parameters: str) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if value}


if TYPE_CHECKING:

    def _check(one: HttpClient) -> Client:
        return one
