"""Times and durations as the API writes them: RFC 3339 in UTC with whole seconds, micro times with six digits, Go durations.

Source: k8s.io/apimachinery/pkg/apis/meta/v1 (Time, MicroTime, Duration) v0.35; Go's time.ParseDuration.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_PLAIN: Final = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:[0-2]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ")
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d+))?(?:Z|[+-]\d\d:\d\d)")
_DURATION_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time in UTC; digits behind the microsecond are cut.

    Raises:
        ValueError: the text is no RFC 3339 time.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}"')
    fraction = match[1]
    if fraction and len(fraction) > 6:
        text = text.replace("." + fraction, "." + fraction[:6], 1)
    return datetime.fromisoformat(text).astimezone(UTC)


def format_time(when: datetime) -> str:
    """Return e.g. 2026-01-02T03:04:05Z (creationTimestamp and most others)."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def format_micro_time(when: datetime) -> str:
    """Return e.g. 2026-01-02T03:04:05.000006Z (leases, events)."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical_time(text: str) -> str:
    """Return a time as it is served: UTC, whole seconds.

    Raises:
        ValueError: the text is no RFC 3339 time.
    """
    if _PLAIN.fullmatch(text):
        parse_time(text)
        return text
    return format_time(parse_time(text))


def canonical_micro_time(text: str) -> str:
    """Return a micro time as it is served; like upstream it must have exactly six fractional digits.

    Raises:
        ValueError: the text has another form.
    """
    match = _RFC3339.fullmatch(text)
    if match is None or len(match[1] or "") != 6:
        raise ValueError(
            f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "{text}"'
        )
    return format_micro_time(parse_time(text))


def parse_duration(text: str) -> int:
    """Return a Go duration ("1h2m3.5s") in nanoseconds.

    Raises:
        ValueError: the text is no duration.
    """
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest):
        match = _DURATION_PART.match(rest, at)
        if match is None or not (match[1] or match[2]):
            break
        unit = _UNIT_NS[match[3]]
        fraction = match[2] or ""
        total += int(match[1] or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = match.end()
    if not rest or at < len(rest):
        raise ValueError(f'time: invalid duration "{text}"')
    return -total if text.startswith("-") else total


def format_duration(nanoseconds: int) -> str:
    """Return Go's text of a duration: 1h2m3.5s, 1.5ms, 0s."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < 1_000_000_000:
        for name in ("ms", "µs", "ns"):
            unit = _UNIT_NS[name]
            if rest >= unit:
                return f"{sign}{_decimal(rest, unit)}{name}"
    minutes, rest = divmod(rest, _UNIT_NS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _UNIT_NS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(unit)) - 1).rstrip('0')}"
