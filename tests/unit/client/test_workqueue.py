import asyncio

import pytest

from k3py.client.workqueue import QueueClosed, WorkQueue


async def test_item_added_twice_is_handed_out_once():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_item_added_while_processed_comes_back_after_done():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    item = await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "nobody else may work on it meanwhile"
    queue.done(item)
    assert len(queue) == 1
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_items_come_in_the_order_in_which_they_were_added():
    queue: WorkQueue[int] = WorkQueue()
    for i in (3, 1, 2):
        queue.add(i)
    assert [await queue.get() for _ in range(3)] == [3, 1, 2]


@pytest.mark.looptime
async def test_earlier_of_two_delays_wins():
    queue: WorkQueue[str] = WorkQueue()
    loop = asyncio.get_running_loop()
    start = loop.time()
    queue.add_after("a", 100)
    queue.add_after("a", 10)
    queue.add_after("a", 50)
    assert await queue.get() == "a"
    assert loop.time() - start == pytest.approx(10)
    queue.done("a")
    assert queue.delayed == 0


@pytest.mark.looptime
async def test_back_off_doubles_from_5_ms_up_to_its_limit_and_forget_resets_it():
    queue: WorkQueue[str] = WorkQueue(max_delay_s=0.04)
    loop = asyncio.get_running_loop()
    delays = []
    for _ in range(5):
        start = loop.time()
        queue.add_rate_limited("a")
        queue.done(await queue.get())
        delays.append(loop.time() - start)
    assert delays == pytest.approx([0.005, 0.01, 0.02, 0.04, 0.04])
    assert queue.retries("a") == 5
    queue.forget("a")
    assert queue.retries("a") == 0


async def test_shut_down_hands_out_the_rest_then_ends_waiting_workers():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add_after("late", 1000)
    queue.shut_down()
    queue.add("b")
    assert await queue.get() == "a"
    with pytest.raises(QueueClosed):
        await queue.get()
    assert queue.delayed == 0


async def test_cancelled_worker_does_not_swallow_a_wake_up():
    queue: WorkQueue[str] = WorkQueue()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(queue.get())
        second = group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await asyncio.wait_for(second, 1) == "a"


async def test_wait_idle_returns_when_the_last_item_is_done():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(queue.wait_idle())
        item = await queue.get()
        await asyncio.sleep(0)
        assert not waiter.done()
        queue.done(item)
