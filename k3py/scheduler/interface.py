"""The seams of scheduling: what a plugin sees and the extension points it may implement.

Source: k8s.io/kube-scheduler/framework v0.35, with one difference: what upstream asks for every node is made once a cycle and
pod (`prepare`, which may say that the plugin has nothing to do), and scores are asked for all nodes together.
Plugins are pure: they get read-only objects and return values, never raise for "does not fit".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

from k3py.scheduler.watched import WATCHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.client.interface import Client, InformerFactory, Lister
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.node_info import NodeInfo, PodInfo

EventKind = Literal["add", "update", "delete"]
Interest = tuple[str, EventKind]  # (plural of the resource, kind)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pod does not go to a node.

    Attributes:
        reason: for people; several are separated by ", ".
        final: removing other pods cannot help (upstream's UnschedulableAndUnresolvable).
    """

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEvent:
    """A change that may make a pod schedulable; old is None for "add", new for "delete"."""

    resource: str
    kind: EventKind
    old: JsonObject | None = None
    new: JsonObject | None = None


class PodFilter:
    """What a plugin knows of one pod in one cycle.

    Attributes:
        only_nodes: names of the only nodes that can fit, None = any.
    """

    __slots__ = ("only_nodes",)

    def __init__(self) -> None:
        self.only_nodes: frozenset[str] | None = None

    def check(self, node: NodeInfo) -> Refusal | None:
        """Return why the node cannot run the pod, or None."""
        return None

    def count(self, other: PodInfo, node: NodeInfo, sign: int) -> None:
        """Take it that another pod came to (1) or left (-1) a node; `node` itself is changed by the caller."""

    def copy(self) -> Self:
        """Return one that may `count` without changing this one."""
        return self


class Plugin(Protocol):
    """Any plugin; it implements one or more of the protocols below."""

    NAME: str


class PreEnqueuePlugin(Plugin, Protocol):
    """Holds pods back from the queue."""

    def pre_enqueue(self, pod: JsonObject) -> Refusal | None:
        """Return why the pod must wait, or None."""


class FilterPlugin(Plugin, Protocol):
    """Says which nodes can run a pod.

    Attributes:
        INTERESTS: the only changes that may help a pod that it refused.
    """

    INTERESTS: frozenset[Interest]

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Return what checks nodes for this pod; a refusal ends the cycle; None: every node is fine."""

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """Queueing hint: say whether `event`, one of INTERESTS, may make a pod schedulable that this plugin refused."""


class ScorePlugin(Plugin, Protocol):
    """Says how good nodes are."""

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Return 0..100 for each of the nodes that fit, in order; None: they are all alike."""


class Reservation(Protocol):
    """What a plugin holds for a pod that has got its node."""

    async def commit(self) -> None:
        """Write it down before the pod is bound; raises ApiError or BindingRefusedError."""

    def undo(self) -> None:
        """Let go of it: the pod is not bound after all."""


class ReservePlugin(FilterPlugin, Protocol):
    """Holds something that is not the node's own (volumes, devices) for a pod."""

    def reserve(self, prepared: PodFilter, pod: PodInfo, node: NodeInfo) -> Reservation | Refusal | None:
        """Hold what `prepared` found on the node; None: nothing to hold."""


class BindPlugin(Plugin, Protocol):
    """Tells the API server where a pod goes."""

    async def bind(self, client: Client, pod: JsonObject, node_name: str) -> None:
        """Bind; raises ApiError."""


class BindingRefusedError(Exception):
    """Something that a pod needs did not come in time; the text says what."""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What plugins are made with.

    `lister` of a kind that is not served is empty.
    """

    client: Client
    informers: InformerFactory

    def lister(self, resource_name: str) -> Lister:
        """Return the shared view of one of `k3py.scheduler.watched.WATCHED`, by plural."""
        return self.informers.informer(WATCHED[resource_name]).lister
