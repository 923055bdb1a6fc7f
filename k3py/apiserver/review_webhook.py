"""Asks another server to review a token or an access, as a kubeconfig file says. Source: k8s.io/apiserver/pkg/util/webhook v0.35."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson

from k3py.errors import K3pyError
from k3py.util.body import BodyTooLong, read_bounded

if TYPE_CHECKING:
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_TRIES: Final = 3
_PAUSE_S: Final = 0.5
_LONGEST_ANSWER: Final = 1024 * 1024


class WebhookFault(K3pyError):
    """The webhook did not answer, or not with what was asked for."""


class ReviewWebhook:
    """Posts documents.

    Args:
        kubeconfig: server, its CA and our credentials.
        name: in messages.
        timeout_s: for one try.
    """

    def __init__(self, kubeconfig: Kubeconfig, *, name: str, timeout_s: float = 30.0) -> None:
        self._kubeconfig = kubeconfig
        self._name = name
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, document: JsonObject) -> JsonObject:
        """Return the answer; a failure of the connection or of the server (5xx, 429) is tried again.

        Raises:
            WebhookFault: in the end, too, or the answer is no object.
        """
        body = await self.send(orjson.dumps(document))
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise WebhookFault(f"webhook {self._name}: the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise WebhookFault(f"webhook {self._name}: the answer is not an object")
        return answer

    async def send(self, body: bytes) -> bytes:
        """Post JSON and return the body of a 2xx answer, tried again as `post`. Raises WebhookFault."""
        fault = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE_S * attempt)
            try:
                status, answer = await self._try(body)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                fault = f"{type(error).__name__}: {error}"
                continue
            if 200 <= status < 300:
                return answer
            fault = f"the server answered {status}"
            if status < 500 and status != 429:
                break
        raise WebhookFault(f"webhook {self._name}: {fault}")

    async def _try(self, body: bytes) -> tuple[int, bytes]:
        if self._session is None:
            tls = await asyncio.to_thread(self._kubeconfig.make_tls)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            )
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        token = self._kubeconfig.token
        if self._kubeconfig.token_file is not None:
            token = (await asyncio.to_thread(self._kubeconfig.token_file.read_text)).strip()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        name = self._kubeconfig.tls_server_name
        async with self._session.post(
            self._kubeconfig.server,
            data=body,
            headers=headers,
            allow_redirects=False,
            server_hostname=name or None,
        ) as response:
            return response.status, await read_answer(response)

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """Return the body. Raises aiohttp.ClientError: it is longer than any honest answer."""
    try:
        return await read_bounded(response.content, _LONGEST_ANSWER)
    except BodyTooLong as error:
        raise aiohttp.ClientPayloadError(str(error)) from error
