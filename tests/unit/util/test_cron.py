"""Times given as cron fields."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from k3py.util.cron import parse_cron

at = partial(datetime, tzinfo=UTC)
FROM = at(2026, 1, 31, 12, 0, 30)  # a Saturday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 */12 * * *", at(2026, 2, 1, 0, 0)),
        ("* * * * *", at(2026, 1, 31, 12, 1)),
        ("0 12 * * *", at(2026, 2, 1, 12, 0)),
        ("5,10-12,50/5 12 * * *", at(2026, 1, 31, 12, 5)),
        ("0 0 29 2 *", at(2028, 2, 29)),
        ("0 0 31 4,6 *", None),
        ("30 4 1,15 * fri", at(2026, 2, 1, 4, 30)),
        ("30 4 * * 1-5", at(2026, 2, 2, 4, 30)),
        ("0 0 * * 7", at(2026, 2, 1)),
        ("0 0 * mar sun", at(2026, 3, 1)),
        ("0 0 */2 * mon", at(2026, 2, 9)),
        ("@daily", at(2026, 2, 1)),
        ("@hourly", at(2026, 1, 31, 13)),
    ],
)
def test_next_time(text, expected):
    assert parse_cron(text).next_after(FROM) == expected


def test_times_follow_each_other_without_repeating():
    cron = parse_cron("0,30 23 31 12 *")
    first = cron.next_after(FROM)
    second = cron.next_after(first)
    assert (first, second) == (at(2026, 12, 31, 23, 0), at(2026, 12, 31, 23, 30))
    assert cron.next_after(second) == at(2027, 12, 31, 23, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "x * * * *",
        "1- * * * *",
        "@often",
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        parse_cron(text)
