"""Guessing is slow, and nobody who knows the password is locked out by it."""

import asyncio

import pytest

from k3py.util.guess_limit import FREE_FAILURES, MOST_AT_ONCE, PAUSE_S, GuessLimit, TooManyGuesses
from k3py.util.supervise import TaskScope

pytestmark = pytest.mark.looptime


async def guess(limit, address="192.0.2.1", *, right=False, shown="x"):
    """Make one attempt; return how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with limit.attempt(address, shown) as attempt:
        (attempt.proved if right else attempt.failed)()
    return loop.time() - began


async def exhaust(limit, address="192.0.2.1"):
    for _ in range(FREE_FAILURES):
        assert await guess(limit, address) == 0


async def test_right_passwords_are_never_slow_before_somebody_fails():
    limit = GuessLimit()
    for _ in range(100):
        assert await guess(limit, right=True) == 0


async def test_after_some_failures_each_attempt_waits_and_the_right_one_is_let_in():
    limit = GuessLimit()
    await exhaust(limit)
    assert await guess(limit) == pytest.approx(PAUSE_S)
    assert await guess(limit, right=True) == pytest.approx(PAUSE_S)


async def test_what_was_right_before_does_not_wait_until_it_is_wrong():
    limit = GuessLimit()
    await exhaust(limit)
    assert await guess(limit, right=True, shown="good") == pytest.approx(PAUSE_S)
    assert await guess(limit, right=True, shown="good") == 0
    assert await guess(limit, shown="good") == 0  # revoked
    assert await guess(limit, shown="good") == pytest.approx(PAUSE_S)


async def test_only_a_few_wait_at_once_and_the_rest_is_refused_unread():
    limit = GuessLimit()
    await exhaust(limit)
    refused = 0

    async def one():
        nonlocal refused
        try:
            await guess(limit)
        except TooManyGuesses:
            refused += 1

    async with TaskScope() as scope:
        tasks = [scope.spawn(one(), name="guess") for _ in range(20)]
        for task in tasks:
            await task
    assert refused == 20 - MOST_AT_ONCE


async def test_others_are_not_affected():
    limit = GuessLimit()
    await exhaust(limit)
    assert await guess(limit, "192.0.2.2") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.3", False),
    ],
)
async def test_an_ipv6_network_is_one_guesser(one, other, same):
    limit = GuessLimit()
    await exhaust(limit, one)
    assert (await guess(limit, other) > 0) is same
