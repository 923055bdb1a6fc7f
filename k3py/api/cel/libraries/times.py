"""Timestamps and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, member
from k3py.api.cel.types import DURATION, INT, STRING, TIMESTAMP
from k3py.api.cel.values import EPOCH, SECOND_NS, Duration, checked_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": SECOND_NS, "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}  # fmt: skip
_OFFSET: Final = re.compile(r"([+-])?(\d{2}):(\d{2})")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def parse_duration(text: str) -> Duration:
    """Return a duration as Go's time.ParseDuration reads it. Raises EvaluationFault."""
    sign = -1 if text.startswith("-") else 1
    rest = text.lstrip("+-") if text[:1] in "+-" else text
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    for found in _PART.finditer(rest):
        if found.start() != at:
            break
        whole, _, fraction = found[1].partition(".")
        unit = _UNITS[found[2]]
        total += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = found.end()
    if not rest or at != len(rest):
        raise EvaluationFault(f'time: invalid duration "{text}"')
    return checked_duration(sign * total)


def parse_timestamp(text: str) -> datetime:
    """Return an RFC 3339 time. Raises EvaluationFault."""
    found = _TIME.fullmatch(text)
    fault = EvaluationFault(f'parsing time "{text}" as RFC 3339 failed')
    if found is None:
        raise fault
    try:
        fraction = (found[2] or ".0")[1:7].ljust(6, "0")
        return datetime.fromisoformat(f"{found[1]}.{fraction}{found[3].replace('Z', '+00:00')}").astimezone(
            UTC
        )
    except (ValueError, OverflowError) as error:
        raise fault from error


def format_timestamp(value: datetime) -> str:
    """Return an RFC 3339 time."""
    text = value.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
    return text + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "") + "Z"


def format_duration(value: Duration) -> str:
    """Return a duration in seconds."""
    sign, total = ("-", -int(value)) if value < 0 else ("", int(value))
    whole, rest = divmod(total, SECOND_NS)
    return f"{sign}{whole}" + (f".{rest:09d}".rstrip("0") if rest else "") + "s"


def add_time(value: datetime, nanoseconds: int) -> datetime:
    """Return a later time. Raises EvaluationFault."""
    try:
        return value + timedelta(microseconds=int(nanoseconds) / 1000)
    except OverflowError as error:
        raise EvaluationFault("timestamp overflow") from error


def subtract_times(one: datetime, other: datetime) -> Duration:
    """Return the time between two."""
    return checked_duration(round((one - other) / timedelta(microseconds=1)) * 1000)


def seconds_of(value: datetime) -> int:
    """Return whole seconds since the epoch."""
    return int((value - EPOCH).total_seconds() // 1)


def _zone(name: str) -> tzinfo:
    found = _OFFSET.fullmatch(name)
    if found:
        delta = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-delta if found[1] == "-" else delta)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise EvaluationFault(f"unknown time zone {name}") from error


_PARTS: Final[dict[str, Callable[[datetime], int]]] = {
    "getFullYear": lambda when: when.year,
    "getMonth": lambda when: when.month - 1,
    "getDate": lambda when: when.day,
    "getDayOfMonth": lambda when: when.day - 1,
    "getDayOfWeek": lambda when: when.isoweekday() % 7,
    "getDayOfYear": lambda when: when.timetuple().tm_yday - 1,
    "getHours": lambda when: when.hour,
    "getMinutes": lambda when: when.minute,
    "getSeconds": lambda when: when.second,
    "getMilliseconds": lambda when: when.microsecond // 1000,
}
_AMOUNTS: Final = {
    "getHours": 3600 * SECOND_NS,
    "getMinutes": 60 * SECOND_NS,
    "getSeconds": SECOND_NS,
    "getMilliseconds": 10**6,
}


def _make() -> tuple[Overload, ...]:
    made: list[Overload] = []
    for name, part in _PARTS.items():
        made.append(member(name, (TIMESTAMP,), INT, part))
        made.append(
            member(
                name,
                (TIMESTAMP, STRING),
                INT,
                lambda when, zone, part=part: part(when.astimezone(_zone(zone))),
            )
        )
    for name, unit in _AMOUNTS.items():
        made.append(
            member(
                name, (DURATION,), INT,
                lambda value, unit=unit: int(value) // unit if value >= 0 else -(-int(value) // unit),
            )
        )  # fmt: skip
    return tuple(made)


OVERLOADS: Final = _make()
