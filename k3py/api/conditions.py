"""Conditions of objects: lists of {type, status, reason, message, lastTransitionTime} with one entry a type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject


def find_status(conditions: Sequence[JsonObject] | None, kind: str) -> str:
    """Return the status of a condition, "" when there is none."""
    return next((str(one["status"]) for one in conditions or () if one["type"] == kind), "")


def set_condition(
    conditions: Sequence[JsonObject], kind: str, status: str, *, reason: str, message: str, now: str
) -> list[JsonObject]:
    """Return the conditions with one set; its transition time stays while its status does."""
    result = []
    wanted: JsonObject = {
        "type": kind,
        "status": status,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }
    found = False
    for one in conditions:
        if one["type"] != kind:
            result.append(one)
            continue
        found = True
        since = one.get("lastTransitionTime", now) if one["status"] == status else now
        result.append({**wanted, "lastTransitionTime": since})
    return result if found else [*result, wanted]
