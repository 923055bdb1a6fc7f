"""The status of ResourceQuotas follows what is in the namespace (api-machinery §4.10)."""

from k3py.api.resource import CONFIG_MAPS, PODS, RESOURCE_QUOTAS
from k3py.controllers.policy import resource_quota
from tests.support.controllers import World
from tests.support.objects import pod


def quota(**hard):
    return {
        "kind": "ResourceQuota",
        "apiVersion": "v1",
        "metadata": {"name": "q", "namespace": "default"},
        "spec": {"hard": hard},
    }


def _used(world):
    return (world.client.objects(RESOURCE_QUOTAS)[0].get("status") or {}).get("used")


async def test_what_is_there_is_counted_and_counted_anew_when_something_goes():
    world = World()
    world.client.seed(PODS, pod("p", cpu="300m"))
    world.client.seed(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}})
    world.client.seed(RESOURCE_QUOTAS, quota(**{"pods": "5", "requests.cpu": "2", "configmaps": "3"}))
    async with world.running(resource_quota.build):
        await world.until(lambda: _used(world) == {"pods": "1", "requests.cpu": "300m", "configmaps": "1"})
        world.client.seed(PODS, pod("p", cpu="300m", phase="Succeeded"))
        await world.until(lambda: _used(world) == {"pods": "0", "requests.cpu": "0", "configmaps": "1"})
        await world.client.delete(CONFIG_MAPS, "c", namespace="default")
        await world.until(lambda: _used(world)["configmaps"] == "0")


async def test_limits_that_change_show():
    world = World()
    world.client.seed(RESOURCE_QUOTAS, quota(pods="1"))
    async with world.running(resource_quota.build):
        await world.until(lambda: _used(world) == {"pods": "0"})
        changed = {**world.client.objects(RESOURCE_QUOTAS)[0], "spec": {"hard": {"services": "2"}}}
        world.client.seed(RESOURCE_QUOTAS, changed)
        await world.until(lambda: _used(world) == {"services": "0"})
