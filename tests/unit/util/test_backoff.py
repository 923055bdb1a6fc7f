"""Pauses grow to the cap, jitter stays in its bounds, success starts over."""

from k3py.util.backoff import Backoff


def test_pauses_double_up_to_the_cap_and_begin_again_after_a_reset():
    backoff = Backoff(first_s=1, cap_s=5)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.attempts == 5
    backoff.reset()
    assert (backoff.attempts, backoff.next_s()) == (0, 1)


def test_jitter_stays_in_its_bounds_and_does_not_compound():
    pauses = []
    for _ in range(50):
        backoff = Backoff(first_s=1, cap_s=4, jitter=0.2)
        pauses.append([backoff.next_s() for _ in range(6)])
    assert all(0.8 <= row[0] <= 1.2 and 3.2 <= row[5] <= 4.8 for row in pauses)
    assert len({row[0] for row in pauses}) > 10
