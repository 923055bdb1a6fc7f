"""Every namespace gets its default account and the root certificate, and gets them back (api-machinery §6.1)."""

import pytest

from k3py.api.resource import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from k3py.controllers.identity import root_ca, service_account
from tests.support.controllers import World


@pytest.mark.parametrize(
    ("build", "resource", "name"),
    [(service_account.build, SERVICE_ACCOUNTS, "default"), (root_ca.build, CONFIG_MAPS, "kube-root-ca.crt")],
)
async def test_it_is_made_and_made_again_but_not_where_a_namespace_ends(build, resource, name):
    world = World()
    world.client.seed(NAMESPACES, {"metadata": {"name": "a"}, "status": {"phase": "Active"}})
    ending = {"name": "z", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.client.seed(NAMESPACES, {"metadata": ending, "status": {"phase": "Terminating"}})
    async with world.running(build):
        await world.until(lambda: len(world.client.objects(resource)) == 1)
        uid = world.client.objects(resource)[0]["metadata"]["uid"]
        await world.client.delete(resource, name, namespace="a")
        await world.until(
            lambda: [one["metadata"]["uid"] for one in world.client.objects(resource)] not in ([], [uid])
        )
    assert [one["metadata"]["namespace"] for one in world.client.objects(resource)] == ["a"]


async def test_a_changed_root_certificate_is_repaired():
    world = World()
    world.client.seed(NAMESPACES, {"metadata": {"name": "a"}})
    async with world.running(root_ca.build):
        await world.until(lambda: world.client.objects(CONFIG_MAPS))
        await world.client.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "bad"}}, namespace="a")
        await world.until(lambda: world.client.objects(CONFIG_MAPS)[0]["data"] == {"ca.crt": "CA"})
