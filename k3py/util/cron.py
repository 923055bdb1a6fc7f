"""Times given as five cron fields: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly.

Source: crontab(5): `*`, lists, ranges, steps, three-letter names; when both day fields are restricted, either may match.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_PART: Final = re.compile(r"(?:(?P<all>[*?])|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?")
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ("", *_MONTHS)),
    ("day of week", 0, 7, tuple(_DAYS)),
)
_YEARS: Final = 30
"""29 February on a given day of the week comes back within 28 years, over a century's end within 40; enough for a schedule."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed schedule; each field holds the numbers that match. `either_day`: both day fields are restricted."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first matching minute after `moment` (same time zone, wall clock), or None if there is none."""
        at = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        last = at.year + _YEARS
        while at.year <= last:
            if at.month in self.months and self._matches_day(at):
                for hour in self.hours:
                    for minute in self.minutes:
                        if (hour, minute) >= (at.hour, at.minute):
                            return at.replace(hour=hour, minute=minute)
            at = at.replace(hour=0, minute=0) + timedelta(days=1)
        return None

    def _matches_day(self, at: datetime) -> bool:
        day, weekday = at.day in self.days, at.isoweekday() % 7 in self.weekdays
        return (day or weekday) if self.either_day else (day and weekday)


def parse_cron(text: str) -> Cron:
    """Read a schedule.

    Raises:
        ValueError: says which field cannot be read.
    """
    parts = _MACROS.get(text.strip().lower(), text).split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            "must be five fields (minute, hour, day of month, month, day of week) or @daily and the like"
        )
    found = [_read_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = found
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        days,
        months,
        frozenset(day % 7 for day in weekdays),
        either_day=parts[2][0] not in "*?" and parts[4][0] not in "*?",
    )


def _read_field(text: str, name: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        step = int(match["step"] or 1) if match else 0
        if match is None or not step:
            raise ValueError(f"must be a cron schedule; {name} {part!r} cannot be read")
        first = low if match["all"] else _read_number(match["low"], names)
        last = high if match["all"] or (match["step"] and not match["high"]) else first
        if match["high"]:
            last = _read_number(match["high"], names)
        if not low <= first <= last <= high:
            raise ValueError(f"must be a cron schedule; {name} must lie in {low}-{high}, not {part!r}")
        numbers.update(range(first, last + 1, step))
    return frozenset(numbers)


def _read_number(text: str, names: tuple[str, ...]) -> int:
    if text.isdecimal():
        return int(text)
    return names.index(text.lower()) if text and text.lower() in names else -1
