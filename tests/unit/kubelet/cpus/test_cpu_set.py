"""Sets of CPUs, and which of them are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.kubelet.cpus.cpu_set import format_cpu_set, parse_cpu_set, take

CPUS = st.frozensets(st.integers(0, 40))
# Two sockets of two cores of two CPUs: 0 and 4 are of one core.
CORES = {cpu: (cpu // 2 % 2, cpu % 4) for cpu in range(8)}


@given(cpus=CPUS)
def test_what_is_written_is_read_again(cpus):
    assert parse_cpu_set(format_cpu_set(cpus)) == cpus


def test_ranges_are_written_short():
    assert format_cpu_set({0, 1, 2, 7, 9, 10}) == "0-2,7,9-10"
    assert parse_cpu_set("0-2, 7") == {0, 1, 2, 7}
    assert parse_cpu_set("") == frozenset()


@pytest.mark.parametrize("text", ["a", "3-1", "1-", "-1"])
def test_what_is_no_set_is_refused(text):
    with pytest.raises(ValueError, match=r"range of CPUs|invalid literal"):
        parse_cpu_set(text)


@pytest.mark.parametrize(
    ("free", "amount", "taken"),
    [
        ("0-7", 4, "0-1,4-5"),  # a socket
        ("0-7", 2, "0,4"),  # a core
        ("0-7", 1, "0"),
        ("1-7", 2, "1,5"),  # a whole core rather than the rest of another
        ("1-7", 1, "4"),  # the rest of a core that is in use
        ("1,2,3", 4, None),
    ],
)
def test_whole_sockets_and_cores_come_first(free, amount, taken):
    found = take(parse_cpu_set(free), amount, CORES)
    assert (None if found is None else format_cpu_set(found)) == taken


@given(free=st.frozensets(st.integers(0, 7)), amount=st.integers(0, 8))
def test_never_more_nor_other_than_what_is_free(free, amount):
    found = take(free, amount, CORES)
    if found is None:
        assert amount > len(free)
    else:
        assert found <= free
        assert len(found) == amount
