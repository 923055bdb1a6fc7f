"""Kubelets are asked when somebody asks, and no more often than needed."""

import pytest

from k3py.addons.metrics_api.sampler import Sampler

NODE = {"metadata": {"name": "n"}}


class World:
    """A clock that moves when somebody waits, and a kubelet that uses one core."""

    def __init__(self):
        self.now_s = 100.0
        self.fetches = 0
        self.containers = ["c"]
        self.fault = None
        self.sampler = Sampler(self, pause=self.pause, monotonic_s=lambda: self.now_s)

    async def pause(self, seconds):
        self.now_s += seconds

    async def fetch(self, node):
        self.fetches += 1
        if self.fault is not None:
            raise self.fault
        figures = {"cpu": {"usageCoreNanoSeconds": int(self.now_s * 1e9)}, "memory": {"workingSetBytes": 1}}
        pod = {"podRef": {"uid": "u"}, "containers": [{"name": one, **figures} for one in self.containers]}
        return {"node": figures, "pods": [pod]}


@pytest.fixture
def world():
    return World()


async def test_first_answer_takes_two_samples(world):
    usage = await world.sampler.read(NODE)
    assert (usage.window_s, usage.node.cpu_nanocores, world.fetches) == (1.0, 1_000_000_000, 2)


async def test_fresh_answer_is_given_again(world):
    first = await world.sampler.read(NODE)
    world.now_s += 4
    assert await world.sampler.read(NODE) is first
    assert world.fetches == 2


async def test_regular_asker_gets_the_usage_since_it_asked_last(world):
    _ = await world.sampler.read(NODE)
    world.now_s += 15
    usage = await world.sampler.read(NODE)
    assert (usage.window_s, usage.node.cpu_nanocores, world.fetches) == (15.0, 1_000_000_000, 3)


async def test_old_sample_is_not_used(world):
    _ = await world.sampler.read(NODE)
    world.now_s += 61
    usage = await world.sampler.read(NODE)
    assert (usage.window_s, world.fetches) == (1.0, 4)


async def test_new_container_begins_the_window_anew(world):
    _ = await world.sampler.read(NODE)
    world.now_s += 15
    world.containers.append("new")
    usage = await world.sampler.read(NODE)
    assert usage.window_s == 1.0
    assert set(usage.containers_of("u")) == {"c", "new"}


@pytest.mark.parametrize("fault", [OSError("no way"), TimeoutError()])
async def test_silent_kubelet_has_no_usage_and_is_asked_again(world, fault):
    world.fault = fault
    assert await world.sampler.read(NODE) is None
    world.fault = None
    assert await world.sampler.read(NODE) is not None


async def test_nodes_that_are_gone_are_forgotten(world):
    _ = await world.sampler.read(NODE)
    world.sampler.forget(set())
    _ = await world.sampler.read(NODE)
    assert world.fetches == 4
