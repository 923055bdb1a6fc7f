"""Objects that shall be there, when somebody else makes them at the same moment."""

import pytest

from k3py.api.resource import CONFIG_MAPS
from k3py.api.status import ApiError
from k3py.client.presence import ensure_present
from tests.support.fake_client import FakeClient

WANTED = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "d"}, "data": {"k": "ours"}}


async def test_it_is_created_once_and_then_left_as_it_is():
    client = FakeClient()
    await ensure_present(client, CONFIG_MAPS, WANTED)
    found = await ensure_present(client, CONFIG_MAPS, {**WANTED, "data": {"k": "new"}})
    assert found["data"] == {"k": "ours"}


async def test_another_server_was_faster():
    client = FakeClient()
    create = client.create

    async def late(resource, obj, **options):
        await create(resource, {**obj, "data": {"k": "theirs"}}, **options)
        raise ApiError(422, "Invalid", "the address is taken")

    client.create = late
    assert (await ensure_present(client, CONFIG_MAPS, WANTED))["data"] == {"k": "theirs"}


async def test_a_refusal_that_nobody_else_caused_is_told():
    client = FakeClient()
    client.fail("create", CONFIG_MAPS, ApiError(422, "Invalid", "the address is taken"))
    with pytest.raises(ApiError, match="the address is taken"):
        await ensure_present(client, CONFIG_MAPS, WANTED)
