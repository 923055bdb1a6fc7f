"""Ages as tables show them (api-machinery.md §1.6)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from k3py.api.duration import age_of, human_duration

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 5, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 59 * MINUTE, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + 5 * HOUR, "2d5h"),
        (8 * DAY + 5 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (735 * DAY, "2y5d"),
        (8 * 365 * DAY + DAY, "8y"),
    ],
)
def test_a_span_has_at_most_two_units(seconds, text):
    assert human_duration(seconds) == text


def test_no_time_has_no_age():
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert age_of(None, now) == "<unknown>"
    assert age_of("2026-01-01T00:00:00Z", now) == "60s"
