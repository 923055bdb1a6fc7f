"""ReplicationControllers count pods by a plain map of labels and have no terminatingReplicas."""

from k3py.api.resource import PODS, REPLICATION_CONTROLLERS
from k3py.controllers.workloads import replica_set, replication_controller
from tests.support.controllers import World


async def test_pods_are_made_and_counted_beside_the_other_controller():
    world = World()
    template = {"metadata": {"labels": {"app": "rc"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await world.client.create(
        REPLICATION_CONTROLLERS,
        {
            "kind": "ReplicationController",
            "apiVersion": "v1",
            "metadata": {"name": "rc", "namespace": "default"},
            "spec": {"replicas": 2, "selector": {"app": "rc"}, "template": template},
        },
        namespace="default",
    )
    async with world.running(replication_controller.build, replica_set.build):
        await world.until(lambda: len(world.client.objects(PODS)) == 2)
        for one in world.client.objects(PODS):
            assert one["metadata"]["ownerReferences"][0]["kind"] == "ReplicationController"
            world.make_ready(one)
        await world.until(
            lambda: (
                world.client.objects(REPLICATION_CONTROLLERS)[0].get("status", {}).get("readyReplicas") == 2
            )
        )
    assert "terminatingReplicas" not in world.client.objects(REPLICATION_CONTROLLERS)[0]["status"]
