"""A scheduler's cache from nodes and pods, and its cycle, without any loop."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from k3py.scheduler.cache import SchedulerCache
from k3py.scheduler.configuration import ProfileSettings
from k3py.scheduler.framework import Framework
from k3py.scheduler.interface import PluginContext
from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.registry import build_profile
from tests.support.fake_client import FakeClient, FakeInformerFactory

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.framework import Outcome


class Cluster:
    """Nodes, pods and the default profile's plugins; other kinds are seeded into `client`."""

    def __init__(self, *nodes: JsonObject, pods: tuple[JsonObject, ...] = ()) -> None:
        self.client = FakeClient()
        self.context = PluginContext(self.client, FakeInformerFactory(self.client))
        self.cache = SchedulerCache()
        for node in nodes:
            self.cache.put_node(node)
        for pod in pods:
            self.place(pod)
        self.framework = Framework(build_profile(self.context, ProfileSettings()), random.Random(1))

    def place(self, pod: JsonObject) -> None:
        """Count a pod on the node that it names."""
        self.cache.put_pod(PodInfo(pod), pod["spec"]["nodeName"])

    def schedule(self, pod: JsonObject) -> Outcome:
        """Run one cycle."""
        return self.framework.schedule(PodInfo(pod), self.cache)

    def fitting(self, pod: JsonObject) -> set[str]:
        """Return the names of the nodes that can run the pod."""
        return {node.name for node in self.framework.find_fitting(PodInfo(pod), self.cache)[0]}

    def scores(self, plugin: str, pod: JsonObject) -> dict[str, int] | None:
        """Return what one plugin gives to each node."""
        nodes = self.cache.nodes()
        found = next(one for one, _ in self.framework.profile.score if plugin == one.NAME)
        scores = found.score(PodInfo(pod), self.cache, nodes)
        return (
            None if scores is None else {node.name: score for node, score in zip(nodes, scores, strict=True)}
        )
