"""Members of system:masters may do everything. Source: k8s.io/apiserver/pkg/authorization/authorizerfactory v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.user import MASTERS
from k3py.apiserver.interface import Decision

if TYPE_CHECKING:
    from k3py.apiserver.interface import Attributes, Authorizer


class MastersAuthorizer:
    """Allows system:masters everything, has no opinion on others."""

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""
        return Decision(MASTERS in attributes.user.groups)


if TYPE_CHECKING:

    def _check(one: MastersAuthorizer) -> Authorizer:
        return one
