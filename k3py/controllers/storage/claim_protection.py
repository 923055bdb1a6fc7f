"""Keeps claims that pods use from vanishing.

Source: kubernetes/pkg/controller/volume/pvcprotection v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PODS
from k3py.controllers.interface import Watch
from k3py.controllers.storage.claims_of_pods import USED_CLAIM_INDEX, claim_names_of, index_by_claim
from k3py.controllers.storage.protection import plan_finalizers, write_finalizers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

FINALIZER: Final = "kubernetes.io/pvc-protection"


class ClaimProtectionController:
    """See the module."""

    name = "persistentvolumeclaim-protection-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        claims = context.informers.informer(PERSISTENT_VOLUME_CLAIMS)
        pods = context.informers.informer(PODS)
        pods.add_index(USED_CLAIM_INDEX, index_by_claim)
        self._claims, self._pods = claims.lister, pods.lister
        self.watches = (Watch(claims, self._keys_of_claim), Watch(pods, self._keys_of_pod))

    def _keys_of_claim(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return (key_of(new),) if new is not None else ()

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """Only a pod that goes can set a claim free."""
        if new is not None or old is None:
            return ()
        return [f"{old['metadata']['namespace']}/{name}" for name in claim_names_of(old)]

    async def reconcile(self, key: str) -> float | None:
        """Add or remove the finalizer of one claim."""
        claim = self._claims.find(*split_key(key))
        if claim is not None:
            in_use = bool(self._pods.by_index(USED_CLAIM_INDEX, key))
            finalizers = plan_finalizers(claim, FINALIZER, in_use=in_use)
            await write_finalizers(self._client, PERSISTENT_VOLUME_CLAIMS, claim, finalizers)
        return None


def build(context: ControllerContext) -> ClaimProtectionController:
    """Make the controller."""
    return ClaimProtectionController(context)
