"""Images go when their disk is full: the longest unused first, none that is used, pinned or new (spec kubelet.tsv: image gc)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.kubelet import image_gc
from k3py.kubelet.image_gc import Disk, ImageCollector, Known, choose
from k3py.runtime.errors import RuntimeUnavailable
from k3py.runtime.fake_images import FakeImages
from tests.support.kubelet import NODE, Events

MIB = 1 << 20
NODE_REFERENCE = {"kind": "Node", "apiVersion": "v1", "name": NODE, "uid": NODE}

LEAST_AGE_S = 120.0


class World:
    """A collector whose clock and disk a test sets."""

    def __init__(self, monkeypatch, *names, used=()):
        self.now_s = 1000.0
        self.images = FakeImages(names)
        self.used = set(used)
        self.events = Events()
        self.disk = Disk(100 * MIB, 50 * MIB)
        monkeypatch.setattr(image_gc.clock, "monotonic_s", lambda: self.now_s)
        self.collector = ImageCollector(
            self.images, lambda: self.used, self.events, NODE_REFERENCE, read_disk=lambda _: self.disk
        )

    async def look(self, later_s=0.0):
        self.now_s += later_s
        await self.collector.collect()
        return {name.rsplit("/", 1)[-1] for name in self.images.images}


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch, "x/a:1", "x/b:1", "x/c:1", "k3py.io/pause:1", used={"x/c:1"})


def test_thresholds():
    assert Disk(100, 16).bytes_to_free() == 0  # 84 %
    assert Disk(100, 15).bytes_to_free() == 5  # 85 %: down to 80 %
    assert Disk(0, 0).bytes_to_free() == 0


async def test_nothing_goes_while_there_is_room(world):
    assert await world.look() == await world.look(LEAST_AGE_S) == {"a:1", "b:1", "c:1", "pause:1"}
    assert world.events.told == []


async def test_the_longest_unused_goes_and_what_is_used_or_pinned_stays(world):
    world.used.add("x/a:1")
    await world.look()
    world.used.discard("x/a:1")
    world.disk = Disk(100 * MIB, 15 * MIB - 1)
    left = await world.look(LEAST_AGE_S)
    assert left == {"c:1", "pause:1"}  # five MiB are wanted, two could be had
    assert world.events.reasons == ["FreeDiskSpaceFailed"]


async def test_only_as_many_as_needed(world):
    world.used.add("x/a:1")
    await world.look()
    world.used.discard("x/a:1")
    world.disk = Disk(5 * MIB, MIB // 2)
    assert await world.look(LEAST_AGE_S) == {"a:1", "c:1", "pause:1"}
    assert world.events.told == []


async def test_when_the_disk_starves_everything_unused_goes(world):
    await world.look(LEAST_AGE_S)
    world.now_s += LEAST_AGE_S
    await world.collector.remove_unused()
    assert {name.rsplit("/", 1)[-1] for name in world.images.images} == {"c:1", "pause:1"}


async def test_new_images_stay(world):
    world.disk = Disk(100 * MIB, MIB)
    assert await world.look() == {"a:1", "b:1", "c:1", "pause:1"}


async def test_a_runtime_that_does_not_answer_is_told(world):
    world.images.fail_next("list_images", RuntimeUnavailable("away"))
    await world.look()
    assert world.events.reasons == ["ImageGCFailed"]


def test_it_is_due_once_a_period(world):
    assert not world.collector.is_due()
    world.now_s += image_gc.PERIOD_S
    assert world.collector.is_due()
    assert not world.collector.is_due()


@given(
    images=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(1, 9)), max_size=8),
    wanted=st.integers(0, 40),
)
def test_the_choice_is_enough_or_everything_and_spares_the_recently_used(images, wanted):
    known = {str(i): Known(float(first), float(used), size) for i, (first, used, size) in enumerate(images)}
    chosen, freed = choose(known, known.keys(), wanted, 300.0, LEAST_AGE_S)
    old = {name for name, one in known.items() if 300.0 - one.first_s >= LEAST_AGE_S}
    assert set(chosen) <= old
    assert freed == sum(known[one].size for one in chosen)
    assert freed >= wanted or set(chosen) == old
    spared = old - set(chosen)
    assert all(known[one].used_s <= known[other].used_s for one in chosen for other in spared)
