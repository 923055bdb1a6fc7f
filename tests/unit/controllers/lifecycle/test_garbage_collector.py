"""Garbage collection: background, foreground, orphan, several owners (api-machinery §6.1)."""

import pytest

from k3py.api.kind import Kind, StoragePolicy
from k3py.api.object import deep_copy
from k3py.api.resource import CONFIG_MAPS, PODS
from k3py.api.structural.structure import Structure
from k3py.controllers.lifecycle.garbage_collector import controller
from k3py.controllers.lifecycle.garbage_collector.controller import plan_verdict
from k3py.controllers.lifecycle.garbage_collector.graph import Graph, Node, Owner, read_node
from tests.support.controllers import World
from tests.support.objects import pod

KINDS = (
    Kind(version="v1", kind="Pod", plural="pods", storage=StoragePolicy(prefix="pods")),
    Kind(version="v1", kind="ConfigMap", plural="configmaps", storage=StoragePolicy(prefix="configmaps")),
)


@pytest.fixture
def world():
    return World(KINDS)


def owner_of(name, uid=None, blocks=True):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": name,
        "uid": uid or f"uid-{name}",
        "blockOwnerDeletion": blocks,
    }


def config_map(name, **metadata):
    return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", **metadata}}


def names(world):
    return {one["metadata"]["name"] for one in world.client.objects(PODS)}


async def test_an_object_whose_owner_goes_is_deleted(world):
    world.client.seed(CONFIG_MAPS, config_map("a"))
    world.client.seed(PODS, pod("p", owner=owner_of("a")))
    world.client.seed(PODS, pod("free"))
    async with world.running(controller.build):
        await world.client.delete(CONFIG_MAPS, "a", namespace="default")
        await world.until(lambda: names(world) == {"free"})


async def test_an_owner_that_never_was_or_has_another_uid_counts_as_gone(world):
    world.client.seed(CONFIG_MAPS, config_map("a"))
    world.client.seed(PODS, pod("p", owner=owner_of("never")))
    world.client.seed(PODS, pod("q", owner=owner_of("a", uid="another")))
    async with world.running(controller.build):
        await world.until(lambda: names(world) == set())


async def test_with_one_owner_left_only_the_reference_goes(world):
    both = pod("p")
    both["metadata"]["ownerReferences"] = [owner_of("a"), owner_of("b")]
    for name in ("a", "b"):
        world.client.seed(CONFIG_MAPS, config_map(name))
    world.client.seed(PODS, both)
    async with world.running(controller.build):
        await world.client.delete(CONFIG_MAPS, "a", namespace="default")
        await world.until(lambda: [one["name"] for one in _references(world)] == ["b"])


def _references(world):
    return world.client.objects(PODS)[0]["metadata"].get("ownerReferences", [])


async def test_foreground_waits_for_the_dependents(world):
    waiting = config_map("a", finalizers=["foregroundDeletion"], deletionTimestamp="2026-01-01T00:00:00Z")
    held = pod("p", owner=owner_of("a"))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    world.client.seed(CONFIG_MAPS, waiting)
    world.client.seed(PODS, held)
    async with world.running(controller.build):
        await world.until(lambda: "deletionTimestamp" in world.client.objects(PODS)[0]["metadata"])
        assert world.client.objects(CONFIG_MAPS)
        freed = deep_copy(world.client.objects(PODS)[0])
        freed["metadata"]["finalizers"] = []
        await world.client.update(PODS, freed)
        await world.until(lambda: not world.client.objects(CONFIG_MAPS) and not world.client.objects(PODS))


def leaving(name, **metadata):
    deletion = {"finalizers": ["foregroundDeletion"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    return config_map(name, **deletion, **metadata)


async def test_foreground_goes_on_when_a_dependent_is_left_to_its_other_owner(world):
    both = pod("p")
    both["metadata"]["ownerReferences"] = [owner_of("a"), owner_of("b")]
    world.client.seed(CONFIG_MAPS, leaving("a"))
    world.client.seed(CONFIG_MAPS, config_map("b"))
    world.client.seed(PODS, both)
    async with world.running(controller.build):
        await world.until(lambda: [one["metadata"]["name"] for one in world.client.objects(CONFIG_MAPS)] == ["b"])
    assert [one["name"] for one in _references(world)] == ["b"]


async def test_owners_in_a_circle_do_not_wait_for_each_other(world):
    world.client.seed(CONFIG_MAPS, leaving("a", ownerReferences=[owner_of("b")]))
    world.client.seed(CONFIG_MAPS, config_map("b", ownerReferences=[owner_of("a")]))
    async with world.running(controller.build):
        await world.until(lambda: not world.client.objects(CONFIG_MAPS))


CLUSTER = Kind(
    group="example.com",
    version="v1",
    kind="C",
    plural="cs",
    namespaced=False,
    storage=StoragePolicy(prefix="example.com/cs"),
)


async def test_a_cluster_scoped_object_with_an_owner_in_a_namespace_is_kept_and_told_of(world):
    world.context.kinds.add(CLUSTER)
    world.client.seed(CONFIG_MAPS, config_map("a"))
    world.client.seed(CONFIG_MAPS, config_map("b"))
    metadata = {"name": "c", "uid": "uid-c", "ownerReferences": [owner_of("a")]}
    async with world.running(controller.build):
        world.client.seed(CLUSTER.resource, {"metadata": metadata})
        await world.until(lambda: world.recorder.events)
        await world.client.delete(CONFIG_MAPS, "a", namespace="default")
        world.client.seed(PODS, pod("p", owner=owner_of("b")))
        await world.client.delete(CONFIG_MAPS, "b", namespace="default")
        await world.until(lambda: not world.client.objects(PODS))
    assert world.client.objects(CLUSTER.resource)
    ((reason, message),) = set(world.recorder.events)
    assert reason == "OwnerRefInvalidNamespace"
    assert message == 'ownerRef [v1/ConfigMap, namespace: , name: a, uid: uid-a] does not exist in namespace ""'


async def test_orphaning_keeps_the_dependents(world):
    leaving = config_map("a", finalizers=["orphan"], deletionTimestamp="2026-01-01T00:00:00Z")
    world.client.seed(CONFIG_MAPS, leaving)
    world.client.seed(PODS, pod("p", owner=owner_of("a")))
    async with world.running(controller.build):
        await world.until(lambda: not world.client.objects(CONFIG_MAPS))
    assert names(world) == {"p"}
    assert _references(world) == []


def node(*owners, finalizers=()):
    return Node(
        uid="u",
        resource=PODS,
        namespace="default",
        name="p",
        owners=owners,
        finalizers=finalizers,
        deleting=False,
    )


A, B = (Owner(uid=one, api_version="v1", kind="ConfigMap", name=one, blocks=True) for one in "ab")


@pytest.mark.parametrize(
    ("absent", "waiting", "dependents", "finalizers", "expected"),
    [
        ([], [], False, (), ""),
        ([A, B], [], False, (), "Background"),
        ([A, B], [], False, ("orphan",), "Orphan"),
        ([A, B], [], False, ("foregroundDeletion",), "Foreground"),
        ([A], [B], True, (), "Foreground"),
        ([A], [B], False, (), "Background"),
    ],
)
def test_the_verdict_follows_owners_and_finalizers(absent, waiting, dependents, finalizers, expected):
    verdict = plan_verdict(
        node(A, B, finalizers=finalizers), absent=absent, waiting=waiting, has_dependents=dependents
    )
    assert verdict.delete == expected


def test_a_solid_owner_saves_the_object():
    assert plan_verdict(node(A, B), absent=[A], waiting=[], has_dependents=False).strike == ("a",)


def test_the_graph_forgets_references_that_are_removed():
    graph = Graph()
    graph.put(read_node(PODS, pod("p", owner=owner_of("a"))))
    assert [one.name for one in graph.dependents_of("uid-a")] == ["p"]
    graph.put(read_node(PODS, pod("p")))
    assert graph.dependents_of("uid-a") == []


CUSTOM = Kind(
    group="example.com",
    version="v1",
    kind="W",
    plural="ws",
    storage=StoragePolicy(prefix="example.com/ws"),
    structure=Structure({}),
)


async def test_kinds_that_come_are_collected_and_those_that_go_are_forgotten(world):
    owner = {"apiVersion": "example.com/v1", "kind": "W", "name": "w", "uid": "uid-w", "controller": True}
    async with world.running(controller.build):
        world.context.kinds.add(CUSTOM)
        world.client.seed(CUSTOM.resource, config_map("w"))
        world.client.seed(PODS, pod("p", owner=owner))
        await world.client.delete(CUSTOM.resource, "w", namespace="default")
        await world.until(lambda: names(world) == set())
        world.context.kinds.remove(CUSTOM)
        world.client.seed(PODS, pod("q", owner={**owner, "uid": "uid-other"}))
        world.client.seed(PODS, pod("r", owner=owner))
        await world.until(
            lambda: names(world) == {"q"}
        )  # of a kind that nobody knows, but that was not seen to go


async def test_references_of_custom_resources_are_struck_without_strategic_patches(world):
    world.context.kinds.add(CUSTOM)
    world.client.seed(CONFIG_MAPS, config_map("a"))
    world.client.seed(CONFIG_MAPS, config_map("b"))
    world.client.seed(CUSTOM.resource, config_map("w", ownerReferences=[owner_of("a"), owner_of("b")]))
    async with world.running(controller.build):
        await world.client.delete(CONFIG_MAPS, "a", namespace="default")
        await world.until(
            lambda: (
                [
                    one["uid"]
                    for one in world.client.objects(CUSTOM.resource)[0]["metadata"]["ownerReferences"]
                ]
                == ["uid-b"]
            )
        )
