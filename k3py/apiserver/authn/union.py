"""Asks authenticators in order; the first that knows the credentials names the user. Source: k8s.io/apiserver/pkg/authentication v0.35."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from k3py.api.user import AUTHENTICATED, UNAUTHENTICATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.user import User
    from k3py.apiserver.interface import Authenticator, Credentials


class UnionAuthenticator:
    """Joins authenticators and adds system:authenticated to the user's groups."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    def replace(self, authenticators: Sequence[Authenticator]) -> None:
        """Ask others from now on."""
        self._authenticators = tuple(authenticators)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the user, None when nobody knows the credentials. Raises ApiError 401."""
        for authenticator in self._authenticators:
            user = await authenticator.authenticate(credentials)
            if user is not None:
                return with_authenticated(user)
        return None


def with_authenticated(user: User) -> User:
    """Return the user as a member of system:authenticated, unless a group says that it is not."""
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return dataclasses.replace(user, groups=(*user.groups, AUTHENTICATED))


if TYPE_CHECKING:

    def _check(one: UnionAuthenticator) -> Authenticator:
        return one
