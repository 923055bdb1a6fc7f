"""cluster-info is signed with living bootstrap tokens; ended ones go."""

import base64

import pytest

from k3py.api.resource import CONFIG_MAPS, SECRETS
from k3py.controllers.identity import bootstrap_signer, bootstrap_token_cleaner
from tests.support.controllers import World

TYPE = "bootstrap.kubernetes.io/token"
# What kube-controller-manager v1.35 wrote for the text "text", id abc002, secret 0123456789abcdef.
RECORDED = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiYzAwMiJ9..71WlDJXApxGEBLX0buXx5rY2jrxJGlqfQdQojDcKkEU"


def _token(name="abc002", namespace="kube-system", **fields):
    data = {"token-id": name, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true", **fields}
    encoded = {
        key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()
    }
    metadata = {"name": f"bootstrap-token-{name}", "namespace": namespace}
    return {"metadata": metadata, "type": TYPE, "data": encoded}


def _info(world):
    return world.client.objects(CONFIG_MAPS)[0]["data"]


async def test_signatures_come_and_go_with_their_tokens():
    world = World()
    info = {"metadata": {"name": "cluster-info", "namespace": "kube-public"}}
    world.client.seed(
        CONFIG_MAPS, {**info, "data": {"kubeconfig": "text", "jws-kubeconfig-gone00": "old", "x": "y"}}
    )
    world.client.seed(SECRETS, _token())
    world.client.seed(SECRETS, _token("nosign", **{"usage-bootstrap-signing": "false"}))
    world.client.seed(SECRETS, _token("ended0", expiration="2001-01-01T00:00:00Z"))
    world.client.seed(SECRETS, _token("abroad", namespace="default"))
    async with world.running(bootstrap_signer.build):
        signed = {"kubeconfig": "text", "x": "y", "jws-kubeconfig-abc002": RECORDED}
        await world.until(lambda: _info(world) == signed)
        await world.client.delete(SECRETS, "bootstrap-token-abc002", namespace="kube-system")
        await world.until(lambda: _info(world) == {"kubeconfig": "text", "x": "y"})


@pytest.mark.parametrize(
    ("expiration", "stays"),
    [("2001-01-01T00:00:00Z", False), ("whenever", False), ("2900-01-01T00:00:00Z", True), ("", True)],
)
async def test_only_ended_tokens_go(expiration, stays):
    world = World()
    world.client.seed(SECRETS, _token(expiration=expiration))
    world.client.seed(SECRETS, _token(namespace="default", expiration="2001-01-01T00:00:00Z"))
    async with world.running(bootstrap_token_cleaner.build):
        await world.settle()
    kept = {one["metadata"]["namespace"] for one in world.client.objects(SECRETS)}
    assert kept == ({"default", "kube-system"} if stays else {"default"})
