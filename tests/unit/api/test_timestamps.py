from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api import timestamps


@pytest.mark.parametrize(
    ("written", "served"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.999999999Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
    ],
)
def test_times_are_served_in_utc_with_whole_seconds(written, served):
    assert timestamps.canonical_time(written) == served


@pytest.mark.parametrize("text", ["", "now", "2026-01-02", "2026-13-02T03:04:05Z", "2026-02-31T03:04:05Z", "2026-01-02 03:04:05Z"])
def test_other_forms_are_refused(text):
    with pytest.raises(ValueError):
        timestamps.canonical_time(text)


def test_micro_times_need_six_digits():
    assert timestamps.canonical_micro_time("2026-01-02T03:04:05.000006+01:00") == "2026-01-02T02:04:05.000006Z"
    with pytest.raises(ValueError):
        timestamps.canonical_micro_time("2026-01-02T03:04:05Z")


@pytest.mark.parametrize(
    ("text", "ns"),
    [("1h2m3.5s", 3723500000000), ("0s", 0), ("1.5ms", 1500000), ("-2m0s", -120000000000), ("7ns", 7), ("2µs", 2000), ("1m0s", 60000000000)],
)
def test_durations_are_written_like_go(text, ns):
    assert timestamps.parse_duration(text) == ns
    assert timestamps.format_duration(ns) == text


@pytest.mark.parametrize("text", ["", "-", "5", "1x", "s", ".s", "1h "])
def test_bad_durations_are_refused(text):
    with pytest.raises(ValueError):
        timestamps.parse_duration(text)


@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_duration_round_trip(ns):
    assert timestamps.parse_duration(timestamps.format_duration(ns)) == ns


def test_years_have_four_digits():
    early = datetime(1, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert timestamps.format_time(early) == "0001-01-01T00:00:02Z"
    assert timestamps.format_micro_time(early) == "0001-01-01T00:00:02.000000Z"
