"""Traefik is put to work once its image is on a node."""

import pytest

from k3py.addons.ingress.staging import IngressStaging, find_image
from k3py.api.object import deep_copy
from k3py.api.resource import NODES
from tests.support.controllers import World


def node(*names):
    images = [{"names": [name], "sizeBytes": 1} for name in names]
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}, "status": {"images": images}}


@pytest.mark.parametrize(
    ("names", "image"),
    [
        (["docker.io/library/traefik:v3.1"], "docker.io/library/traefik:v3.1"),
        (["docker.io/rancher/mirrored-library-traefik:3.3.6"], "docker.io/rancher/mirrored-library-traefik:3.3.6"),
        (["docker.io/library/traefik:v3.9", "docker.io/library/traefik:v3.10.1"], "docker.io/library/traefik:v3.10.1"),
        (["r.example:5000/traefik:3"], "r.example:5000/traefik:3"),
        (["docker.io/library/traefik:v2.11", "docker.io/me/nottraefik:v3.1", "docker.io/traefik/whoami:v3"], ""),
        ([], ""),
    ],
)
def test_which_image_counts(names, image):
    assert find_image([node(*names)]) == image


async def test_the_manifest_comes_with_the_image(tmp_path):
    world = World()
    world.client.seed(NODES, node())
    file = tmp_path / "traefik.yaml"
    controller = IngressStaging(world.informers, tmp_path)
    async with world.running(lambda _: controller):
        await controller.reconcile("traefik")
        assert not file.exists()
        found = deep_copy(await world.client.get(NODES, "n1"))
        found["status"] = node("docker.io/library/traefik:v3.1")["status"]
        await world.client.update(NODES, found, subresource="status")
        await world.until(lambda: find_image(controller._nodes.list()))
        await controller.reconcile("traefik")
    assert '"docker.io/library/traefik:v3.1"' in file.read_text()
