"""Tokens that are known from the start (the server's own, those of a token file). Source: plugin token authenticators, v0.35."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.user import User
    from k3py.apiserver.interface import Authenticator, Credentials


class StaticTokenAuthenticator:
    """Compares tokens by their hash, in constant time."""

    def __init__(self, users: Mapping[str, User]) -> None:
        """Take the users by token."""
        self._users = [(hashlib.sha256(token.encode()).digest(), user) for token, user in users.items()]

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the token's user, None for an unknown one."""
        if not credentials.bearer:
            return None
        digest = hashlib.sha256(credentials.bearer.encode()).digest()
        found = None
        for known, user in self._users:
            if hmac.compare_digest(known, digest):
                found = user
        return found


if TYPE_CHECKING:

    def _check(one: StaticTokenAuthenticator) -> Authenticator:
        return one
