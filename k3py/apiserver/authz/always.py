"""The modes AlwaysAllow and AlwaysDeny, for trying things out. Source: k8s.io/apiserver/pkg/authorization/authorizerfactory v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.interface import Decision

if TYPE_CHECKING:
    from k3py.apiserver.interface import Attributes, Authorizer


class AlwaysAuthorizer:
    """Gives everybody the same answer."""

    def __init__(self, *, allows: bool) -> None:
        self._decision = Decision(True) if allows else Decision(False, "Everything is forbidden.")

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""
        return self._decision


if TYPE_CHECKING:

    def _check(one: AlwaysAuthorizer) -> Authorizer:
        return one
