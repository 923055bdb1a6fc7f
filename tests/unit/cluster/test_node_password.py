"""A name belongs to the machine that joined with it first (J-50 to J-55, acceptance 4)."""

import base64

import pytest

from k3py.api.resource import NODES, SECRETS
from k3py.api.status import ApiError
from k3py.cluster.node_password import NodePasswords, hash_password, matches
from tests.support.fake_client import FakeClient
from tests.support.objects import node


def test_a_hash_matches_its_password_alone():
    stored = hash_password("right")
    assert matches("right", stored)
    assert not matches("wrong", stored)
    assert stored != hash_password("right"), "salted"
    for malformed in ("", "$1", "$2:00:1:1:1:x", "$1:zz:1:1:1:x"):
        assert not matches("right", malformed)


async def test_the_first_password_is_kept_and_another_refused():
    client = FakeClient()
    passwords = NodePasswords(client)
    await passwords.check("n", "one")
    await passwords.check("n", "one")
    with pytest.raises(ApiError) as caught:
        await passwords.check("n", "two")
    assert caught.value.code == 403
    (secret,) = client.objects(SECRETS)
    assert (secret["metadata"]["name"], secret["immutable"]) == ("n.node-password.k3py", True)
    assert "one" not in base64.b64decode(secret["data"]["hash"]).decode()


async def test_the_secret_belongs_to_a_node_that_is_there():
    client = FakeClient()
    client.seed(NODES, node("n"))
    await NodePasswords(client).check("n", "one")
    assert client.objects(SECRETS)[0]["metadata"]["ownerReferences"][0]["uid"] == "uid-n"
