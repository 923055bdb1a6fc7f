"""Token Secrets are filled for their account, and live no longer than it."""

import base64

import pytest

from k3py.api.resource import SECRETS, SERVICE_ACCOUNTS
from k3py.controllers.identity import account_tokens
from tests.support.controllers import World


class Signer:
    """Writes down what it signs."""

    def __init__(self):
        self.signed = []

    def sign(self, claims):
        self.signed.append(claims)
        return f"token-{len(self.signed)}"


def _secret(**annotations):
    annotations = {f"kubernetes.io/service-account.{key}": value for key, value in annotations.items()}
    metadata = {"name": "t", "namespace": "a", "annotations": annotations}
    return {"metadata": metadata, "type": account_tokens.TYPE}


@pytest.fixture
def world():
    return World(token_signer=Signer())


async def test_a_secret_is_filled_once(world):
    account = world.client.seed(SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "a"}})
    world.client.seed(SECRETS, _secret(name="bot"))
    async with world.running(account_tokens.build):
        await world.until(lambda: world.client.objects(SECRETS)[0].get("data"))
        await world.settle()
    [found] = world.client.objects(SECRETS)
    assert {key: base64.b64decode(value) for key, value in found["data"].items()} == {
        "token": b"token-1",
        "ca.crt": b"CA",
        "namespace": b"a",
    }
    assert found["metadata"]["annotations"][account_tokens.UID] == account["metadata"]["uid"]
    [claims] = world.context.token_signer.signed
    assert claims["sub"] == "system:serviceaccount:a:bot"
    assert claims["kubernetes.io/serviceaccount/service-account.uid"] == account["metadata"]["uid"]
    assert "exp" not in claims


@pytest.mark.parametrize("annotations", [{"name": "nobody"}, {"name": "bot", "uid": "of an earlier one"}, {}])
async def test_a_secret_without_its_account_goes(world, annotations):
    world.client.seed(SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "a"}})
    world.client.seed(SECRETS, _secret(**annotations))
    async with world.running(account_tokens.build):
        await world.until(lambda: not world.client.objects(SECRETS))
    assert world.context.token_signer.signed == []


async def test_it_goes_with_the_account(world):
    world.client.seed(SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "a"}})
    world.client.seed(SECRETS, _secret(name="bot"))
    async with world.running(account_tokens.build):
        await world.until(lambda: world.client.objects(SECRETS)[0].get("data"))
        await world.client.delete(SERVICE_ACCOUNTS, "bot", namespace="a")
        await world.until(lambda: not world.client.objects(SECRETS))


async def test_an_account_forgets_a_secret_that_is_gone_and_keeps_others(world):
    listed = [{"name": "t"}, {"name": "other"}]
    world.client.seed(SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "a"}, "secrets": listed})
    world.client.seed(SECRETS, _secret(name="bot"))
    async with world.running(account_tokens.build):
        await world.until(lambda: world.client.objects(SECRETS)[0].get("data"))
        await world.client.delete(SECRETS, "t", namespace="a")
        await world.until(lambda: world.client.objects(SERVICE_ACCOUNTS)[0]["secrets"] == [{"name": "other"}])


async def test_other_types_are_left_alone(world):
    world.client.seed(SECRETS, {**_secret(name="nobody"), "type": "Opaque"})
    async with world.running(account_tokens.build):
        await world.settle()
    assert len(world.client.objects(SECRETS)) == 1
