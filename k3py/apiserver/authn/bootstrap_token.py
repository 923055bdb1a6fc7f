"""Bootstrap tokens: `<6 characters>.<16 characters>`, kept in Secrets of kube-system. Source: plugin/pkg/auth/authenticator/token/bootstrap v1.35."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import parse_time
from k3py.api.user import User
from k3py.storage.errors import ObjectNotFound
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import Authenticator, Credentials
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Storage

_TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_TYPE: Final = "bootstrap.kubernetes.io/token"
_GROUP: Final = "system:bootstrappers"


class BootstrapTokenAuthenticator:
    """Looks the token's Secret up."""

    def __init__(
        self, *, storage: Storage, kinds: KindRegistry, now: Callable[[], datetime] = clock.now
    ) -> None:
        self._storage = storage
        self._kinds = kinds
        self._now = now

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return system:bootstrap:<id>, None when there is no such valid token."""
        match = _TOKEN.fullmatch(credentials.bearer)
        kind = self._kinds.find("", "v1", "secrets")
        if match is None or kind is None:
            return None
        store = await self._storage.store_for(kind)
        try:
            view = await store.get("kube-system", f"bootstrap-token-{match[1]}", any_cached=True)
        except ObjectNotFound:
            return None
        return self._check(view.parsed, match[1], match[2])

    def _check(self, secret: JsonObject, token_id: str, token_secret: str) -> User | None:
        data = {key: _decode(value) for key, value in (secret.get("data") or {}).items()}
        if secret["metadata"].get("deletionTimestamp") or secret.get("type") != _TYPE:
            return None
        if not hmac.compare_digest(data.get("token-secret", "").encode(), token_secret.encode()):
            return None
        if data.get("token-id") != token_id or data.get("usage-bootstrap-authentication") != "true":
            return None
        if expiration := data.get("expiration"):
            try:
                if parse_time(expiration) <= self._now():
                    return None
            except ValueError:
                return None
        extra = [one for one in data.get("auth-extra-groups", "").split(",") if one]
        return User(name=f"system:bootstrap:{token_id}", groups=(_GROUP, *extra))


def _decode(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


if TYPE_CHECKING:

    def _check(one: BootstrapTokenAuthenticator) -> Authenticator:
        return one
