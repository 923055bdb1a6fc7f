"""The registration endpoint: what agents ask a server for before and while they are nodes (J-20 to J-45), on the API's own port.

Paths below /v1-k3py, /cacerts and /ping; everything else is the Kubernetes API's. A machine that joins sees the CA first, checks it
against its token, and only then shows the token.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import secrets
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from k3py.api.names import find_subdomain_faults
from k3py.api.status import ApiError
from k3py.api.user import MASTERS, User
from k3py.cluster.token import parse_token
from k3py.pki.authority import LeafRequest, names_of, sign_request
from k3py.pki.errors import PkiError
from k3py.util.body import BodyTooLong, read_bounded
from k3py.util.guess_limit import GuessLimit, TooManyGuesses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from k3py.cluster.node_password import NodePasswords
    from k3py.cluster.tunnel.gateway import TunnelGateway
    from k3py.jsontypes import JsonObject
    from k3py.pki.authority import KeyPair

PREFIX: Final = "/v1-k3py/"
NODE_NAME: Final = "k3py-Node-Name"
NODE_PASSWORD: Final = "k3py-Node-Password"
NODE_IP: Final = "k3py-Node-IP"
AGENT_GROUP: Final = "k3py:agent"
SERVER_GROUP: Final = "k3py:server"
_AGENT_GROUPS: Final = frozenset((AGENT_GROUP, "system:nodes", "system:bootstrappers"))
_SERVER_GROUPS: Final = frozenset((SERVER_GROUP, MASTERS))
_BY_TOKEN_ONLY: Final = frozenset(("server-bootstrap", "critical-arguments", "token"))
"""What not even administrators get: keys of authorities outlive what an administrator may do."""

_MOST_BODY_BYTES: Final = 64 * 1024


class Supervisor:
    """Answers the registration paths.

    Args:
        authorities: "server-ca" and "client-ca" with their keys.
        token: the server's token in secure form; its password is that of the users `server` and `node`.
        agent_token: the token whose password is that of `node` instead, "" = none.
        authenticate: finds the user of other credentials (client certificate, bootstrap token), None = none of them.
        passwords: node passwords.
        settings: what /v1-k3py/config tells agents; no secret in it.
        server_paths: further paths, whole or below /v1-k3py/, for those who hold the server's token or are administrators.
        list_servers: returns the addresses of all API servers, "host:port"; None = only this one, which asks nobody.
        tunnels: takes in nodes' tunnels, None = none.
    """

    def __init__(
        self,
        *,
        authorities: Mapping[str, KeyPair],
        token: str,
        agent_token: str = "",
        authenticate: Callable[[web.BaseRequest], Awaitable[User | None]],
        passwords: NodePasswords,
        settings: JsonObject,
        server_paths: Mapping[str, Callable[[web.BaseRequest], Awaitable[web.Response]]] | None = None,
        list_servers: Callable[[], Awaitable[Sequence[str]]] | None = None,
        tunnels: TunnelGateway | None = None,
    ) -> None:
        self._authorities = authorities
        self._password = parse_token(token).password
        self._agent_password = parse_token(agent_token).password if agent_token else ""
        self._authenticate = authenticate
        self._passwords = passwords
        self._settings = orjson.dumps(settings)
        self._server_paths = server_paths or {}
        self._list_servers = list_servers
        self._tunnels = tunnels
        self._guesses = GuessLimit()
        self.ready = False

    def use_token(self, token: str) -> None:
        """Let in those who show this token (in secure form), and nobody who shows the former one."""
        self._password = parse_token(token).password

    @staticmethod
    def owns(raw_path: str) -> bool:
        """Say whether a request's path, as it came, is the registration endpoint's."""
        return raw_path.startswith(PREFIX) or raw_path in ("/cacerts", "/ping", "/db/info")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises for what a client sent."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return _text(error.code, error.message)
        except PkiError as error:
            return _text(400, str(error))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/cacerts":
            _expect(request, "GET")
            return _pem(self._authorities["server-ca"].certificate)
        if path == "/ping":
            _expect(request, "GET")
            return _text(200, "pong")
        user = await self._find_user(request)
        name = path.removeprefix(PREFIX)
        for_servers = self._server_paths.get(name)
        if for_servers is not None:
            allowed = _SERVER_GROUPS if name not in _BY_TOKEN_ONLY else {SERVER_GROUP}
            if not allowed.intersection(user.groups):
                raise ApiError(
                    403, "Forbidden", "forbidden: only servers and administrators may ask for this"
                )
            return await for_servers(request)
        if not _AGENT_GROUPS.intersection(user.groups):
            raise ApiError(403, "Forbidden", "forbidden: only nodes and agents may ask for this")
        handlers: dict[str, Callable[[web.BaseRequest, User], Awaitable[web.StreamResponse]]] = {
            "connect": self._connect,
            "apiservers": self._api_servers,
            "config": self._config,
            "client-ca.crt": self._client_ca,
            "server-ca.crt": self._server_ca,
            "readyz": self._readyz,
            "serving-kubelet.crt": self._serving_kubelet,
            "client-kubelet.crt": self._client_kubelet,
            "client-kube-proxy.crt": self._client_kube_proxy,
        }
        handler = handlers.get(name)
        if handler is None:
            raise ApiError(404, "NotFound", "404 page not found")
        return await handler(request, user)

    async def _find_user(self, request: web.BaseRequest) -> User:
        """Raises ApiError 401, 429."""
        try:
            shown = request.headers.get("Authorization", "")
            async with self._guesses.attempt(request.remote or "", shown) as attempt:
                try:
                    user = await self._check_credentials(request)
                except ApiError as error:
                    if error.code == 401 and shown:
                        attempt.failed()
                    raise
                if shown:
                    attempt.proved()
                return user
        except TooManyGuesses as error:
            raise ApiError(429, "TooManyRequests", str(error), retry_after_s=5) from error

    async def _check_credentials(self, request: web.BaseRequest) -> User:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            return self._check_basic(rest)
        user = await self._authenticate(request)
        if user is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return user

    def _check_basic(self, encoded: str) -> User:
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, password = "", ""
        wanted = self._agent_password or self._password if name == "node" else self._password
        right = secrets.compare_digest(password.encode(), wanted.encode())
        group = {"node": AGENT_GROUP, "server": SERVER_GROUP}.get(name)
        if not right or group is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return User(name=name, groups=(group,))

    async def _config(self, request: web.BaseRequest, user: User) -> web.Response:
        _expect(request, "GET")
        return web.Response(body=self._settings, content_type="application/json")

    async def _connect(self, request: web.BaseRequest, user: User) -> web.StreamResponse:
        _expect(request, "GET")
        if self._tunnels is None:
            raise ApiError(404, "NotFound", "this server takes in no tunnels")
        return await self._tunnels.serve(request, user)

    async def _api_servers(self, request: web.BaseRequest, user: User) -> web.Response:
        _expect(request, "GET")
        if not self.ready:
            raise ApiError(503, "ServiceUnavailable", "the server is starting")
        found = await self._list_servers() if self._list_servers is not None else ()
        return web.Response(body=orjson.dumps(list(found)), content_type="application/json")

    async def _client_ca(self, request: web.BaseRequest, user: User) -> web.Response:
        _expect(request, "GET")
        return _pem(self._authorities["client-ca"].certificate)

    async def _server_ca(self, request: web.BaseRequest, user: User) -> web.Response:
        _expect(request, "GET")
        return _pem(self._authorities["server-ca"].certificate)

    async def _readyz(self, request: web.BaseRequest, user: User) -> web.Response:
        _expect(request, "GET")
        return _text(200, "ok") if self.ready else _text(503, "the server is starting")

    async def _serving_kubelet(self, request: web.BaseRequest, user: User) -> web.Response:
        name = await self._admit_node(request, user)
        addresses = [one.strip() for one in request.headers.get(NODE_IP, "").split(",") if one.strip()]
        for address in addresses:
            _check_address(address)
        leaf = LeafRequest(
            common_name=name, names=names_of((name, "localhost", "127.0.0.1"), addresses), usage="server"
        )
        return await self._sign(request, "server-ca", leaf)

    async def _client_kubelet(self, request: web.BaseRequest, user: User) -> web.Response:
        name = await self._admit_node(request, user)
        leaf = LeafRequest(common_name=f"system:node:{name}", organizations=("system:nodes",))
        return await self._sign(request, "client-ca", leaf)

    async def _client_kube_proxy(self, request: web.BaseRequest, user: User) -> web.Response:
        return await self._sign(request, "client-ca", LeafRequest(common_name="system:kube-proxy"))

    async def _admit_node(self, request: web.BaseRequest, user: User) -> str:
        """Return the node's name if it may have it (J-50 to J-52). Raises ApiError."""
        _expect(request, "POST")
        name = request.headers.get(NODE_NAME, "").lower()
        password = request.headers.get(NODE_PASSWORD, "")
        if not name or find_subdomain_faults(name):
            raise ApiError(400, "BadRequest", f"header {NODE_NAME}: {name!r}: must be the name of a node")
        if not password:
            raise ApiError(400, "BadRequest", f"header {NODE_PASSWORD}: must be given")
        if not self.ready:
            raise ApiError(503, "ServiceUnavailable", "the server is starting")
        if "system:nodes" in user.groups and user.name != f"system:node:{name}":
            raise ApiError(400, "BadRequest", f"header {NODE_NAME}: {name!r}: is not the certificate's node")
        if "system:nodes" in user.groups and not await self._passwords.has_node(name):
            # Its certificate may be good for long yet: who deletes a Node means to lock it out (J-52).
            raise ApiError(401, "Unauthorized", "Unauthorized: the node is not there any more")
        await self._passwords.check(name, password)
        return name

    async def _sign(self, request: web.BaseRequest, authority: str, leaf: LeafRequest) -> web.Response:
        _expect(request, "POST")
        try:
            body = await read_bounded(request.content, _MOST_BODY_BYTES)
        except BodyTooLong as error:
            raise ApiError(413, "RequestEntityTooLarge", str(error)) from None
        signed = await asyncio.to_thread(sign_request, self._authorities[authority], leaf, body)
        return _pem(signed)


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ApiError(400, "BadRequest", f"header {NODE_IP}: {text!r}: must be IP addresses") from None


def _expect(request: web.BaseRequest, method: str) -> None:
    if request.method != method:
        raise ApiError(405, "MethodNotAllowed", f"{request.method}: must be {method}")


def _pem(data: bytes) -> web.Response:
    return web.Response(body=data, content_type="text/plain")


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
