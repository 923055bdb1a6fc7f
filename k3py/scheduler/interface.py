"""The seams of scheduling: what a plugin sees and the extension points it may implement.

Source: k8s.io/kube-scheduler/framework v0.35. Plugins are pure: they get read-only objects and return values, never raise for "does
not fit".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.node_info import NodeInfo

EventKind = Literal["add", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pod does not go to a node; `final`: no change of other pods can help (UnschedulableAndUnresolvable)."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEvent:
    """A change that may make a pod schedulable; old is None for "add", new for "delete"."""

    resource: Literal["node", "pod"]
    kind: EventKind
    old: JsonObject | None = None
    new: JsonObject | None = None


@dataclass(slots=True)
class CycleState:
    """What plugins remember within one scheduling cycle, by plugin name."""

    data: dict[str, Any] = field(default_factory=dict)


class Plugin(Protocol):
    """Any plugin; it implements one or more of the protocols below."""

    NAME: str


class PreEnqueuePlugin(Plugin, Protocol):
    """Holds pods back from the queue."""

    def pre_enqueue(self, pod: JsonObject) -> Refusal | None:
        """Return why the pod must wait, or None."""


class PreFilterPlugin(Plugin, Protocol):
    """Computes once a cycle what `filter` needs for every node."""

    def pre_filter(self, state: CycleState, pod: JsonObject) -> Refusal | None:
        """Fill `state`; a refusal ends the cycle for the pod."""


class FilterPlugin(Plugin, Protocol):
    """Says which nodes can run a pod."""

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Return why the node cannot run the pod, or None."""

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """Queueing hint: say whether `event` may make a pod schedulable that this plugin refused."""


class ScorePlugin(Plugin, Protocol):
    """Says how good a node is."""

    def score(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> int:
        """Return a raw score."""

    def normalize(self, scores: Sequence[int]) -> Sequence[int]:
        """Bring the raw scores of all nodes to 0..100, same order."""


class BindPlugin(Plugin, Protocol):
    """Tells the API server where a pod goes."""

    async def bind(self, client: Client, pod: JsonObject, node_name: str) -> None:
        """Bind; raises ApiError."""
