"""Schedules of CronJobs (api-machinery.md §3.4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from k3py.api.cron import ScheduleError, parse_schedule

START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("* * * * *", "2026-01-01T00:01"),
        ("*/15 * * * *", "2026-01-01T00:15"),
        ("5/20 * * * *", "2026-01-01T00:05"),
        ("0 0 * jan sun", "2026-01-04T00:00"),
        ("30 4 1-7/3 FEB ?", "2026-02-01T04:30"),
        ("0 12 13 * fri", "2026-01-02T12:00"),
        ("0 12 */2 * fri", "2026-01-09T12:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("@hourly", "2026-01-01T01:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("@weekly", "2026-01-04T00:00"),
        ("0,30 23 31 12 *", "2026-12-31T23:00"),
    ],
)
def test_the_next_time_is_the_first_that_every_field_allows(text, due):
    found = parse_schedule(text).next_after(START)
    assert found is not None
    assert found.strftime("%Y-%m-%dT%H:%M") == due
    assert found.second == 0


def test_every_counts_from_when_it_is_asked():
    assert parse_schedule("@every 1h30m").next_after(START) == START + timedelta(minutes=90)
    assert parse_schedule("@every 10ms").next_after(START) == START + timedelta(seconds=1)


def test_there_is_no_31_february():
    assert parse_schedule("0 0 31 2 *").next_after(START) is None


def test_a_time_that_the_clocks_skip_is_skipped():
    zurich = ZoneInfo("Europe/Zurich")
    before = datetime(2026, 3, 28, 12, 0, tzinfo=zurich)
    assert parse_schedule("30 2 * * *").next_after(before) == datetime(2026, 3, 30, 2, 30, tzinfo=zurich)


def test_a_time_that_the_clocks_repeat_is_due_once():
    zurich = ZoneInfo("Europe/Zurich")
    schedule = parse_schedule("30 2 * * *")
    first = schedule.next_after(datetime(2026, 10, 24, 12, 0, tzinfo=zurich))
    assert first == datetime(2026, 10, 25, 2, 30, tzinfo=zurich)
    assert schedule.next_after(first) == datetime(2026, 10, 26, 2, 30, tzinfo=zurich)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "often",
        "0 0 * *",
        "0 0 0 * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 1 13 *",
        "0 0 * * 7",
        "5-1 * * * *",
        "*/0 * * * *",
        "0 0 * * 1-",
        "0 0 L * *",
        "1/2/3 * * * *",
        "1-2-3 * * * *",
        "@reboot",
        "@every x",
    ],
)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(ScheduleError):
        parse_schedule(text)
