"""Cron schedules of CronJobs and snapshots: five fields, or a word such as @hourly or @every 5m.

Model: github.com/robfig/cron v3 ParseStandard, which upstream uses (api-machinery.md §3.4): names in any case, "?" is "*", "5/15" goes on
to the end, days of the week are 0 to 6, and where both days are restricted, one of them is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every "
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MOST_YEARS: Final = 5


class ScheduleError(ValueError):
    """A text that is no schedule; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Field:
    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS: Final = (
    _Field(0, 59),
    _Field(0, 23),
    _Field(1, 31),
    _Field(1, 12, _MONTHS),
    _Field(0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Minutes at which something is due; `every_s` in place of them for @every.

    any_day, any_weekday: that field says "*", so the other one decides alone.
    """

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = False
    any_weekday: bool = False
    every_s: int = 0

    def next_after(self, when: datetime) -> datetime | None:
        """Return the first time after `when`, in its zone, or None when there is none within five years (31 February).

        Times that a change of clocks skips are skipped; those that it repeats are due once.
        """
        if self.every_s:
            return when.replace(microsecond=0) + timedelta(seconds=self.every_s)
        at = when.replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=1)
        limit = at.year + _MOST_YEARS
        while at.year <= limit:
            if at.month not in self.months:
                at = _first_of_next_month(at)
            elif not self._has_day(at):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in self.hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in self.minutes:
                at += timedelta(minutes=1)
            elif (found := _in_zone(at, when)) is not None and found > when:
                return found
            else:
                at += timedelta(minutes=1)
        return None

    def _has_day(self, at: datetime) -> bool:
        by_day, by_weekday = at.day in self.days, at.isoweekday() % 7 in self.weekdays
        return by_day and by_weekday if self.any_day or self.any_weekday else by_day or by_weekday


def _first_of_next_month(at: datetime) -> datetime:
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return datetime(year, month, 1)  # noqa: DTZ001 - wall clock of the schedule's zone


def _in_zone(at: datetime, like: datetime) -> datetime | None:
    """Return the wall-clock time in the zone of `like`, None when that day has no such time."""
    found = at.replace(tzinfo=like.tzinfo)
    if like.tzinfo is None:
        return found
    offset = found.utcoffset() or timedelta()
    shown = (found - offset).replace(tzinfo=None)
    back = datetime.fromisoformat(f"{shown.isoformat()}+00:00").astimezone(like.tzinfo)
    return found if back.replace(tzinfo=None) == at else None


def parse_schedule(text: str) -> Schedule:
    """Return the schedule.

    Raises:
        ScheduleError: the text is no schedule.
    """
    if text.startswith(_EVERY):
        return _parse_every(text.removeprefix(_EVERY))
    fields = _WORDS.get(text, text).split()
    if text.startswith("@") and text not in _WORDS:
        raise ScheduleError(f"unrecognized descriptor: {text}")
    if len(fields) != len(_FIELDS):
        raise ScheduleError(
            f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]"
        )
    parsed = [_parse_field(one, field) for one, field in zip(fields, _FIELDS, strict=True)]
    return Schedule(
        minutes=parsed[0],
        hours=parsed[1],
        days=parsed[2],
        months=parsed[3],
        weekdays=parsed[4],
        any_day=_is_any(fields[2]),
        any_weekday=_is_any(fields[4]),
    )


def _parse_every(text: str) -> Schedule:
    try:
        nanoseconds = parse_duration(text)
    except ValueError as error:
        raise ScheduleError(f"failed to parse duration {_EVERY}{text}: {error}") from error
    return Schedule(every_s=max(nanoseconds // 1_000_000_000, 1))


def _is_any(text: str) -> bool:
    return any(part.partition("/")[0] in ("*", "?") for part in text.split(","))


def _parse_field(text: str, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        found.update(_parse_range(part, field))
    return frozenset(found)


def _parse_range(text: str, field: _Field) -> Iterable[int]:
    span, slash, step_text = text.partition("/")
    if "/" in step_text:
        raise ScheduleError(f"too many slashes: {text}")
    low_text, dash, high_text = span.partition("-")
    if "-" in high_text:
        raise ScheduleError(f"too many hyphens: {text}")
    if low_text in ("*", "?") and not dash:
        low, high = field.least, field.most
    else:
        low = _parse_value(low_text, field)
        high = _parse_value(high_text, field) if dash else (field.most if slash else low)
    step = _parse_number(step_text) if slash else 1
    if low < field.least:
        raise ScheduleError(f"beginning of range ({low}) below minimum ({field.least}): {text}")
    if high > field.most:
        raise ScheduleError(f"end of range ({high}) above maximum ({field.most}): {text}")
    if low > high:
        raise ScheduleError(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if not step:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return range(low, high + 1, step)


def _parse_value(text: str, field: _Field) -> int:
    if field.names and text.lower() in field.names:
        return field.names.index(text.lower()) + field.least
    return _parse_number(text)


def _parse_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ScheduleError(f"failed to parse int from {text}")
    return int(text)
