"""Unused tokens of old clusters' making are marked, and a year later removed; all others stay."""

import datetime as dt

import pytest

from k3py.api.resource import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from k3py.controllers.identity import legacy_token_cleaner as module
from k3py.util import clock
from tests.support.controllers import World


def day(ago):
    return (clock.now() - dt.timedelta(days=ago)).strftime("%Y-%m-%d")


def world_with(*, labels=None, listed=True, mounted=False, created=800, since=800):
    world = World()
    world.client.seed(
        CONFIG_MAPS, {"metadata": {"name": module.TRACKING, "namespace": "kube-system"}, "data": {"since": day(since)}}
    )
    account = {"metadata": {"name": "bot", "namespace": "a"}}
    world.client.seed(SERVICE_ACCOUNTS, account | ({"secrets": [{"name": "t"}]} if listed else {}))
    metadata = {
        "name": "t",
        "namespace": "a",
        "creationTimestamp": f"{day(created)}T00:00:00Z",
        "annotations": {"kubernetes.io/service-account.name": "bot"},
        "labels": labels or {},
    }
    world.client.seed(SECRETS, {"metadata": metadata, "type": "kubernetes.io/service-account-token"})
    volumes = [{"name": "v", "secret": {"secretName": "t"}}] if mounted else []
    world.client.seed(PODS, {"metadata": {"name": "p", "namespace": "a"}, "spec": {"volumes": volumes}})
    return world


async def outcome(world):
    """Return "gone", "marked" or "kept"."""
    async with world.running(module.build):
        await world.settle()
    found = world.client.objects(SECRETS)
    if not found:
        return "gone"
    return "marked" if (found[0]["metadata"].get("labels") or {}).get(module.INVALID_SINCE) else "kept"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "marked"),
        ({"labels": {module.LAST_USED: day(500)}}, "marked"),
        ({"labels": {module.LAST_USED: day(5)}}, "kept"),
        ({"labels": {module.LAST_USED: day(5), module.INVALID_SINCE: day(3)}}, "kept"),
        ({"labels": {module.INVALID_SINCE: day(100)}}, "marked"),
        ({"labels": {module.INVALID_SINCE: day(400)}}, "gone"),
        ({"labels": {module.INVALID_SINCE: "whenever"}}, "marked"),
        ({"listed": False, "labels": {module.LAST_USED: day(500)}}, "kept"),
        ({"mounted": True}, "kept"),
        ({"created": 100}, "kept"),
        ({"since": 100}, "kept"),
    ],
)
async def test_only_unused_ones_of_old_making_go(settings, expected):
    assert await outcome(world_with(**settings)) == expected
