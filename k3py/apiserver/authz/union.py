"""Joins authorizers: the first that allows or denies decides. Source: k8s.io/apiserver/pkg/authorization/union v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.interface import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.apiserver.interface import Attributes, Authorizer


class UnionAuthorizer:
    """Asks authorizers in order; when none has an opinion the answer is no, with all their reasons."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def replace(self, authorizers: Sequence[Authorizer]) -> None:
        """Ask others from now on."""
        self._authorizers = tuple(authorizers)

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""
        reasons = []
        for authorizer in self._authorizers:
            decision = await authorizer.authorize(attributes)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))


if TYPE_CHECKING:

    def _check(one: UnionAuthorizer) -> Authorizer:
        return one
