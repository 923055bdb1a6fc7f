"""Keeps as many pods as a ReplicationController asks for: the ReplicaSet controller with another kind.

Source: kubernetes/pkg/controller/replication v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import REPLICATION_CONTROLLERS
from k3py.api.selectors import NOTHING, selector_from_map
from k3py.controllers.workloads.replica_set import ReplicaKind, ReplicaSetController

if TYPE_CHECKING:
    from k3py.api.selectors import LabelSelector
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


def _selector_of(obj: JsonObject) -> LabelSelector:
    labels = obj["spec"].get("selector")
    return selector_from_map(labels) if labels else NOTHING


REPLICATION_CONTROLLER: Final = ReplicaKind(
    name="replicationcontroller-controller",
    resource=REPLICATION_CONTROLLERS,
    selector_of=_selector_of,
    shows_terminating=False,
)


def build(context: ControllerContext) -> ReplicaSetController:
    """Make the controller."""
    return ReplicaSetController(context, REPLICATION_CONTROLLER)
