"""Extenders: what they are asked, what their answers do, what their failures do."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from k3py.api.resource import NODES, PODS
from k3py.scheduler.configuration import SchedulerSettings
from k3py.scheduler.extender import Extender, ExtenderError, ExtenderSettings
from k3py.scheduler.node_info import NodeInfo, PodInfo
from k3py.scheduler.scheduler import Scheduler
from k3py.util.supervise import TaskScope
from tests.support.controllers import World
from tests.support.objects import node, pod


@asynccontextmanager
async def answering(**answers):
    """Serve answers by verb; yields the URL and what was asked."""
    asked = []

    async def handle(request):
        verb, body = request.match_info["verb"], json.loads(await request.read())
        asked.append((verb, body))
        answer = answers[verb]
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response(answer(body) if callable(answer) else answer)

    app = web.Application()
    app.router.add_post("/{verb}", handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")), asked


def infos(*names):
    return [NodeInfo(node(name)) for name in names]


async def test_filter_by_names_and_by_objects():
    answer = {"nodenames": ["a"], "failedNodes": {"b": "full"}, "failedAndUnresolvableNodes": {"c": "never"}}
    async with answering(filter=answer) as (url, asked):
        one = Extender(ExtenderSettings(url_prefix=url, filter_verb="filter", knows_nodes=True))
        left, refusals = await one.filter(PodInfo(pod()), infos("a", "b", "c"))
    assert [each.name for each in left] == ["a"]
    assert {name: (each.reason, each.final) for name, each in refusals.items()} == {
        "b": ("full", False),
        "c": ("never", True),
    }
    assert asked[0][1]["NodeNames"] == ["a", "b", "c"]

    async with answering(filter=lambda body: {"Nodes": {"items": body["Nodes"]["items"][:1]}}) as (
        url,
        asked,
    ):
        one = Extender(ExtenderSettings(url_prefix=url, filter_verb="filter"))
        left, _ = await one.filter(PodInfo(pod()), infos("a", "b"))
    assert [each.name for each in left] == ["a"]


async def test_scores_are_scaled_and_weighted():
    async with answering(prioritize=[{"Host": "a", "Score": 10}, {"host": "b", "score": 1}]) as (url, _):
        one = Extender(ExtenderSettings(url_prefix=url, prioritize_verb="prioritize", weight=2))
        assert await one.prioritize(PodInfo(pod()), infos("a", "b")) == {"a": 200, "b": 20}


@pytest.mark.parametrize("answer", [{"error": "broken"}, 500, []])
async def test_failures_are_errors(answer):
    async with answering(filter=answer) as (url, _):
        with pytest.raises(ExtenderError):
            await Extender(ExtenderSettings(url_prefix=url, filter_verb="filter")).filter(
                PodInfo(pod()), infos("a")
            )


def test_only_pods_that_ask_for_what_is_managed_are_sent():
    one = Extender(ExtenderSettings(url_prefix="http://x", managed=frozenset({"example.com/gpu"})))
    asking = pod()
    asking["spec"]["containers"][0]["resources"] = {"limits": {"example.com/gpu": "1"}}
    assert one.is_interested(PodInfo(asking))
    assert not one.is_interested(PodInfo(pod()))


@asynccontextmanager
async def scheduling(world, *extenders):
    scheduler = Scheduler(
        world.client, world.informers, world.recorder, settings=SchedulerSettings(extenders=extenders)
    )
    async with TaskScope() as scope:
        started = asyncio.Event()
        _ = scope.spawn(scheduler.run(started.set), name="scheduler")
        await started.wait()
        yield
        scope.cancel()


def seed(world, *names):
    for name in names:
        world.client.seed(NODES, node(name))
    world.client.seed(PODS, pod("p", phase="Pending"))


def placed(world):
    return next(iter(world.client.objects(PODS)))["spec"].get("nodeName")


async def test_it_decides_with_the_scheduler():
    world = World()
    everything = {"filter": {"nodenames": ["a", "b"]}, "prioritize": [{"host": "b", "score": 10}]}
    async with answering(**everything) as (url, asked):
        settings = ExtenderSettings(
            url_prefix=url, filter_verb="filter", prioritize_verb="prioritize", weight=5, knows_nodes=True
        )
        seed(world, "a", "b", "c")
        async with scheduling(world, settings):
            await world.until(lambda: placed(world))
    assert placed(world) == "b"
    assert [verb for verb, _ in asked] == ["filter", "prioritize"]


async def test_it_binds_in_place_of_the_scheduler():
    world = World()
    async with answering(bind={}) as (url, asked):
        seed(world, "a")
        async with scheduling(world, ExtenderSettings(url_prefix=url, bind_verb="bind")):
            await world.until(lambda: "Scheduled" in world.recorder.reasons())
    assert asked == [("bind", {"PodName": "p", "PodNamespace": "default", "PodUID": "uid-p", "Node": "a"})]
    assert placed(world) is None  # it only said so


async def test_one_that_cannot_be_ignored_holds_the_pod_and_another_does_not():
    for ignorable in (False, True):
        world = World()
        async with answering(filter=500) as (url, _):
            seed(world, "a")
            settings = ExtenderSettings(url_prefix=url, filter_verb="filter", ignorable=ignorable)
            async with scheduling(world, settings):
                await world.until(lambda world=world: world.recorder.reasons())
        assert world.recorder.reasons()[0] == ("Scheduled" if ignorable else "FailedScheduling")
