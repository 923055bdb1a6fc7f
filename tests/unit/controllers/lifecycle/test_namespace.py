"""Namespaces are emptied, pods first, and then let go (api-machinery §6.1)."""

from k3py.api.kind import Kind, StoragePolicy
from k3py.api.object import deep_copy
from k3py.api.registry import ForeignVersion
from k3py.api.resource import CONFIG_MAPS, NAMESPACES, PODS, Resource
from k3py.controllers.lifecycle import namespace
from k3py.controllers.lifecycle.namespace import Remains, plan_conditions
from tests.support.controllers import World
from tests.support.objects import pod
from tests.unit.controllers.lifecycle.test_garbage_collector import KINDS

NAMESPACE_KIND = Kind(
    version="v1",
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    storage=StoragePolicy(prefix="namespaces"),
)


def leaving(name="default"):
    return {
        "metadata": {"name": name, "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Terminating"},
    }


def finalizers(world):
    found = world.client.objects(NAMESPACES)
    return found[0]["spec"].get("finalizers", []) if found else []


async def test_content_goes_pods_first_and_then_the_finalizer():
    world = World((NAMESPACE_KIND, *KINDS))
    held = pod("p")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    world.client.seed(PODS, held)
    world.client.seed(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}})
    world.client.seed(NAMESPACES, leaving())
    async with world.running(namespace.build):
        await world.until(lambda: "deletionTimestamp" in world.client.objects(PODS)[0]["metadata"])
        await world.until(lambda: _condition(world, "NamespaceFinalizersRemaining") == "False")
        assert world.client.objects(CONFIG_MAPS), "the rest waits for the pods, and is not counted until they are gone"
        freed = deep_copy(world.client.objects(PODS)[0])
        freed["metadata"]["finalizers"] = []
        await world.client.update(PODS, freed)
        await world.until(lambda: not world.client.objects(CONFIG_MAPS) and finalizers(world) == [])


def _condition(world, kind):
    conditions = world.client.objects(NAMESPACES)[0]["status"].get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == kind), "")


async def test_a_namespace_that_stays_is_left_alone():
    world = World((NAMESPACE_KIND, *KINDS))
    world.client.seed(NAMESPACES, {"metadata": {"name": "default"}, "spec": {"finalizers": ["kubernetes"]}})
    world.client.seed(PODS, pod("p"))
    controller = namespace.build(world.context)
    await controller.reconcile("default")
    assert world.client.objects(PODS)


def test_conditions_name_what_remains():
    remains = Remains()
    remains.counts["pods."] = 2
    remains.finalizers["example.com/hold"] = 2
    by_type = {one["type"]: one for one in plan_conditions([], remains, "t")}
    assert by_type["NamespaceContentRemaining"]["message"] == (
        "Some resources are remaining: pods. has 2 resource instances"
    )
    assert by_type["NamespaceFinalizersRemaining"]["reason"] == "SomeFinalizersRemain"
    again = plan_conditions(list(by_type.values()), remains, "later")
    assert {one["lastTransitionTime"] for one in again} == {"t"}


async def test_other_servers_objects_go_too_and_the_namespace_waits_for_servers_that_are_away():
    world = World((NAMESPACE_KIND, *KINDS))
    toys = Resource("toys.example.com", "v1", "toys", "Toy")
    readings = Resource("toys.example.com", "v1", "readings", "Reading")
    world.client.seed(toys, {"metadata": {"name": "t", "namespace": "default"}})
    world.client.seed(readings, {"metadata": {"name": "r", "namespace": "default"}})
    world.client.seed(NAMESPACES, leaving())
    resources = ((toys, frozenset(("list", "delete"))), (readings, frozenset(("list",))))
    here = ForeignVersion(group="toys.example.com", version="v1", available=True, resources=resources)
    away = ForeignVersion(group="away.example.com", version="v1", available=False, resources=())
    world.context.kinds.list_foreign = lambda: [here, away]
    controller = namespace.build(world.context)
    for watch in controller.watches:
        await watch.informer.wait_synced()
    assert await controller.reconcile("default")
    assert not world.client.objects(toys)
    assert world.client.objects(readings)  # cannot be deleted
    assert finalizers(world) == ["kubernetes"]
    assert _condition(world, "NamespaceDeletionDiscoveryFailure") == "True"
    world.context.kinds.list_foreign = lambda: [here]
    assert await controller.reconcile("default") is None
    assert finalizers(world) == []
