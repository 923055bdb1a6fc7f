"""Nodes are told how long kubelets may cache; borders overlap (controllers.tsv, ttl-controller)."""

import pytest

from k3py.api.resource import NODES
from k3py.controllers.nodes import ttl
from k3py.controllers.nodes.ttl import STEPS, plan_step
from tests.support.controllers import World
from tests.support.objects import node


@pytest.mark.parametrize(
    ("step", "nodes", "seconds"),
    [(0, 100, 0), (0, 101, 15), (1, 95, 15), (1, 89, 0), (0, 5000, 300), (4, 1500, 60)],
)
def test_steps_overlap(step, nodes, seconds):
    assert STEPS[plan_step(step, nodes)][2] == seconds


async def test_a_new_node_is_annotated():
    world = World()
    async with world.running(ttl.build):
        world.client.seed(NODES, node("n"))
        await world.until(lambda: world.client.objects(NODES)[0]["metadata"].get("annotations"))
    assert world.client.objects(NODES)[0]["metadata"]["annotations"] == {"node.alpha.kubernetes.io/ttl": "0"}
