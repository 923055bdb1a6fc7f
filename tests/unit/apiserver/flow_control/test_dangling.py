"""A FlowSchema says whether its priority level is there."""

import asyncio

import pytest

from k3py.api.conditions import find_status
from tests.support.api import run_api

SCHEMA = {
    "kind": "FlowSchema",
    "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
    "metadata": {"name": "s"},
    "spec": {"priorityLevelConfiguration": {"name": "later"}, "matchingPrecedence": 500},
}
LEVEL = {
    "kind": "PriorityLevelConfiguration",
    "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
    "metadata": {"name": "later"},
    "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
}


@pytest.fixture
async def api():
    async with run_api() as api:
        await api.assembly.bootstrap()
        yield api


async def dangling(api, name):
    found = await api.send("get", "flowschemas", name)
    return find_status((found.get("status") or {}).get("conditions"), "Dangling")


async def until(api, status):
    async with asyncio.timeout(30):
        while await dangling(api, "s") != status:
            await asyncio.sleep(0.01)


async def test_those_of_the_start_are_told_at_once(api):
    names = [one["metadata"]["name"] for one in (await api.send("list", "flowschemas"))["items"]]
    assert {await dangling(api, name) for name in names} == {"False"}


async def test_it_follows_the_level(api):
    await api.send("create", "flowschemas", body=SCHEMA)
    await until(api, "True")
    await api.send("create", "prioritylevelconfigurations", body=LEVEL)
    await until(api, "False")
    await api.send("delete", "prioritylevelconfigurations", "later")
    await until(api, "True")
