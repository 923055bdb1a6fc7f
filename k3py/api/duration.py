"""Ages as kubectl's tables show them. Source: k8s.io/apimachinery/pkg/util/duration v0.35 (HumanDuration)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.timestamps import parse_time

if TYPE_CHECKING:
    from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human_duration(seconds: int) -> str:
    """Return a short text of at most three figures: 5s, 2m30s, 3h12m, 4d5h, 2y35d."""
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    minutes, hours, days = seconds // _MINUTE, seconds // _HOUR, seconds // _DAY
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % _MINUTE, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    if days < 8 * 365:
        return _two(years, "y", days % 365, "d")
    return f"{years}y"


def _two(first: int, unit: str, second: int, second_unit: str) -> str:
    return f"{first}{unit}" + (f"{second}{second_unit}" if second else "")


def age_of(text: str | None, now: datetime) -> str:
    """Return the time since an RFC 3339 time, "<unknown>" without one."""
    if not text:
        return "<unknown>"
    return human_duration(int((now - parse_time(text)).total_seconds()))
