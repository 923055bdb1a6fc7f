"""The status as a screen of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.duration import age_of
from k3py.cli.printing import align, paint

if TYPE_CHECKING:
    import datetime as dt

    from k3py.jsontypes import JsonObject

_GIB: Final = 1 << 30
_MOST_WAITING: Final = 20


def render(status: JsonObject, now: dt.datetime) -> str:
    """Return the screen."""
    head = f"{status['server']}  Kubernetes {status['version']}"
    lines = [f"{head}  {paint('ready', 'green') if status['ready'] else paint('not ready', 'red')}"]
    lines += [f"  {paint('failing', 'red')}  {name}: {fault}" for name, fault in status["failing"].items()]
    lines += ["", "SERVERS"]
    lines += _table(
        [
            [one["address"], one["node"] or "-", _state("Ready" if one["ready"] else "NotReady")]
            for one in status["servers"]
        ]
    )
    lines += ["", "NODES"]
    rows = [["NAME", "STATUS", "ROLES", "ADDRESS", "VERSION", "AGE", "PODS", "CPU ASKED", "MEMORY ASKED"]]
    rows += [
        [
            one["name"],
            _state(one["state"]),
            ",".join(one["roles"]) or "<none>",
            one["address"],
            one["version"],
            age_of(one["since"], now),
            f"{one['pods']}/{one['podsMax']}",
            f"{one['cpuRequestedMillis'] / 1000:g}/{one['cpuMillis'] / 1000:g}",
            f"{one['memoryRequestedBytes'] / _GIB:.1f}/{one['memoryBytes'] / _GIB:.1f} GiB",
        ]
        for one in status["nodes"]
    ]
    lines += _table(rows)
    lines += [
        f"  {paint(one['name'], 'red')}: {problem}" for one in status["nodes"] for problem in one["problems"]
    ]
    counts = ", ".join(f"{count} {state}" for state, count in status["pods"].items())
    lines += ["", f"PODS  {sum(status['pods'].values())}{': ' if counts else ''}{counts}"]
    waiting = status["waiting"]
    lines += ["", "WAITING" if waiting else "Nothing waits."]
    lines += _table(
        [
            [
                f"{one['namespace']}/{one['object']}",
                paint(one["state"], "yellow"),
                age_of(one["since"], now),
                one["why"],
            ]
            for one in waiting[:_MOST_WAITING]
        ]
    )
    if len(waiting) > _MOST_WAITING:
        lines.append(f"  and {len(waiting) - _MOST_WAITING} more (-o json shows all)")
    return "\n".join(lines)


def _table(rows: list[list[str]]) -> list[str]:
    return [f"  {line}" for line in align(rows)]


def _state(text: str) -> str:
    return paint(text, "green" if text == "Ready" else "red")
