"""Pauses grow for each key by itself."""

from k3py.addons.retries import Retries


def test_pauses_grow_up_to_their_cap_and_begin_anew():
    retries = Retries(first_s=10, cap_s=60)
    pauses = [retries.next_s("a") for _ in range(6)]
    assert 9 <= pauses[0] <= 11
    assert pauses[1] > pauses[0]
    assert 54 <= pauses[-1] <= 66
    assert retries.next_s("b") <= 11
    retries.forget("a")
    assert retries.next_s("a") <= 11
