"""Numbers that may be written as a share of a whole ("25%"). Source: k8s.io/apimachinery/pkg/util/intstr v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue


def resolve_share(value: JsonValue, total: int, *, round_up: bool) -> int:
    """Return a number as it is, and a percentage of `total` rounded up or down."""
    if isinstance(value, int):
        return int(value)
    hundredths = int(str(value).removesuffix("%")) * total
    return -(-hundredths // 100) if round_up else hundredths // 100
