"""Tells kubelets by an annotation of their node how long they may keep Secrets and ConfigMaps: the longer, the larger the cluster.

Source: kubernetes/pkg/controller/ttl v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

ANNOTATION: Final = "node.alpha.kubernetes.io/ttl"
# (fewest nodes, most nodes, seconds): steps overlap, so that a cluster at their border does not flap
STEPS: Final = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 2**31, 300))


def plan_step(step: int, nodes: int) -> int:
    """Return the step for a number of nodes, coming from `step`."""
    while nodes > STEPS[step][1]:
        step += 1
    while nodes < STEPS[step][0]:
        step -= 1
    return step


class TtlController:
    """See the module."""

    name = "ttl-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        nodes = context.informers.informer(NODES)
        self._nodes = nodes.lister
        self._step = 0
        self.watches = (Watch(nodes, self._keys_of_node),)

    def _keys_of_node(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if old is None or new is None:
            self._step = plan_step(self._step, len(self._nodes.list()))
        return (new["metadata"]["name"],) if new is not None and not self._is_told(new) else ()

    def _is_told(self, node: JsonObject) -> bool:
        annotations = node["metadata"].get("annotations") or {}
        return bool(annotations.get(ANNOTATION) == str(STEPS[self._step][2]))

    async def reconcile(self, key: str) -> float | None:
        """Annotate one node."""
        node = self._nodes.find("", key)
        if node is not None and not self._is_told(node):
            patch = {"metadata": {"annotations": {ANNOTATION: str(STEPS[self._step][2])}}}
            await self._client.patch(NODES, key, patch)
        return None


def build(context: ControllerContext) -> TtlController:
    """Make the controller."""
    return TtlController(context)
