"""Removes bootstrap tokens when they end. Source: kubernetes/pkg/controller/bootstrap/tokencleaner.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.resource import SECRETS
from k3py.api.status import ApiError
from k3py.controllers.identity.bootstrap_token import LONGEST_SLEEP_S, NAMESPACE, SELECTOR, find_expiration
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


class BootstrapTokenCleaner:
    """See the module; keys are names of Secrets in kube-system."""

    name = "token-cleaner-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        secrets = context.informers.informer(SECRETS, field_selector=SELECTOR)
        self._secrets = secrets.lister
        self.watches = (Watch(secrets, _name_of),)

    async def reconcile(self, key: str) -> float | None:
        """Remove the token if it has ended; else look again when it does."""
        found = self._secrets.find(NAMESPACE, key)
        ends = find_expiration(found) if found is not None else None
        if found is None or ends is None:
            return None
        left_s = (ends - clock.now()).total_seconds()
        if left_s > 0:
            return min(left_s, LONGEST_SLEEP_S)
        metadata = found["metadata"]
        try:
            await self._client.delete(SECRETS, key, namespace=NAMESPACE, uid=metadata["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return None


def _name_of(_old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    inside = new is not None and new["metadata"]["namespace"] == NAMESPACE
    return (new["metadata"]["name"],) if inside and new is not None else ()


def build(context: ControllerContext) -> BootstrapTokenCleaner:
    """Make the controller."""
    return BootstrapTokenCleaner(context)
