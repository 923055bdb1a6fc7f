"""Who asks: client certificate and bearer token, through the Authenticator seam.

Source: k8s.io/apiserver/pkg/endpoints/filters/authentication.go v0.35.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError, unauthorized
from k3py.api.user import ANONYMOUS
from k3py.apiserver.connection import Connection
from k3py.apiserver.interface import Credentials
from k3py.util.guess_limit import GuessLimit, TooManyGuesses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web
    from multidict import CIMultiDictProxy

    from k3py.api.user import User
    from k3py.apiserver.interface import Authenticator

WEBSOCKET_TOKEN: Final = "base64url.bearer.authorization.k8s.io."
_JWT_DOTS: Final = 2
_NO_HEADERS: Final[Mapping[str, Sequence[str]]] = {}


class Authentication:
    """Finds a request's user; certificates are fetched from TLS once a connection.

    `anonymous`: requests without credentials go on as system:anonymous, on `anonymous_paths` only if these are given; else they
    are 401. Headers go to the authenticators
    only with X-Remote-User among them (an authenticating proxy's).
    """

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        anonymous: bool = True,
        anonymous_paths: frozenset[str] | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._anonymous = anonymous
        self._anonymous_paths = anonymous_paths
        self._guesses = GuessLimit()

    async def authenticate(self, request: web.BaseRequest) -> User:
        """Return the user of `request`. Raises ApiError 401."""
        headers = request.headers
        authorization = headers.get("Authorization", "")
        bearer = _find_bearer(authorization) if authorization else ""
        if not bearer and "Sec-WebSocket-Protocol" in headers:
            bearer = _find_websocket_bearer(headers["Sec-WebSocket-Protocol"])
        certificate = _peer_certificate(request)
        if not bearer and not certificate:
            return self._be_anonymous(request)
        credentials = Credentials(
            bearer=bearer,
            peer_certificate=certificate or None,
            peer_authorities=_peer_authorities(request) if certificate else (),
            headers=_lower(headers) if "X-Remote-User" in headers else _NO_HEADERS,
            remote_address=request.remote or "",
        )
        if bearer and bearer.count(".") != _JWT_DOTS:
            user = await self._authenticate_password(credentials)
        else:
            user = await self._authenticator.authenticate(credentials)
        if user is not None:
            return user
        if bearer:
            raise unauthorized()
        return self._be_anonymous(request)

    async def _authenticate_password(self, credentials: Credentials) -> User | None:
        """Check a token that is a password (static, of bootstrap) rather than a signed text: guessing it has to be slow."""
        try:
            async with self._guesses.attempt(credentials.remote_address, credentials.bearer) as attempt:
                user = await self._authenticator.authenticate(credentials)
                if user is None:
                    attempt.failed()
                else:
                    attempt.proved()
                return user
        except TooManyGuesses as error:
            raise ApiError(429, "TooManyRequests", str(error), retry_after_s=5) from error

    def _be_anonymous(self, request: web.BaseRequest) -> User:
        """Raises ApiError 401."""
        if not self._anonymous or (
            self._anonymous_paths is not None and request.path not in self._anonymous_paths
        ):
            raise unauthorized()
        return ANONYMOUS


def _peer_certificate(request: web.BaseRequest) -> bytes:
    connection = request.protocol
    return connection.peer_certificate if isinstance(connection, Connection) else b""


def _peer_authorities(request: web.BaseRequest) -> tuple[bytes, ...]:
    connection = request.protocol
    return connection.peer_authorities if isinstance(connection, Connection) else ()


def _lower(headers: CIMultiDictProxy[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers.items():
        found.setdefault(name.lower(), []).append(value)
    return found


def _find_bearer(authorization: str) -> str:
    """Return the token; another scheme, an empty token and a second space count as no credentials, as upstream."""
    parts = authorization.strip().split(" ", 2)
    return parts[1] if len(parts) > 1 and parts[0].lower() == "bearer" else ""


def _find_websocket_bearer(protocols: str) -> str:
    """Return the token that browsers, which cannot set headers, hide in a WebSocket subprotocol."""
    for protocol in protocols.split(","):
        name = protocol.strip()
        if name.startswith(WEBSOCKET_TOKEN):
            encoded = name.removeprefix(WEBSOCKET_TOKEN)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError, ValueError) as error:
                raise unauthorized() from error
    return ""
