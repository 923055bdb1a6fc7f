"""What must stay free on the node: eviction thresholds, and when they are met. Pure but for what it remembers.

    memory.available<100Mi   hard: met at once         memory.available<300Mi with grace 90s   soft: met when it holds for so long

A threshold that was met is met until `reclaim` more than it is free; the node says to be under pressure for `transition_s` beyond that, so that
it does not flap.

Source: pkg/kubelet/eviction v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.kubelet.amounts import whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.kubelet.machine import Pressure

CONDITIONS: Final = {
    "memory.available": "MemoryPressure",
    "nodefs.available": "DiskPressure",
    "nodefs.inodesFree": "DiskPressure",
    "imagefs.available": "DiskPressure",
    "imagefs.inodesFree": "DiskPressure",
    "pid.available": "PIDPressure",
}
STARVED: Final = {
    "memory.available": "memory",
    "nodefs.available": "ephemeral-storage",
    "nodefs.inodesFree": "inodes",
    "imagefs.available": "ephemeral-storage",
    "imagefs.inodesFree": "inodes",
    "pid.available": "pids",
}
TRANSITION_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity as it was written: a number in the signal's unit, or a share of the capacity."""

    text: str

    def of(self, capacity: int) -> int:
        """Return the number."""
        if self.text.endswith("%"):
            return int(capacity * float(self.text[:-1]) / 100)
        return whole(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What must stay free of a signal; grace_s None = hard; reclaim: what is freed beyond it."""

    signal: str
    amount: Amount
    grace_s: float | None = None
    reclaim: Amount = Amount("0")


@dataclass(frozen=True, slots=True)
class Level:
    """What is free of a signal, of how much."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Met:
    """A threshold that is met, and what is free."""

    threshold: Threshold
    level: Level

    @property
    def resource(self) -> str:
        """Return what pods call what runs out."""
        return STARVED[self.threshold.signal]


def hard(**amounts: str) -> tuple[Threshold, ...]:
    """Return hard thresholds by signal, with "_" for "."."""
    return tuple(
        Threshold(signal=name.replace("_", "."), amount=Amount(text)) for name, text in amounts.items()
    )


DEFAULTS: Final = hard(memory_available="100Mi", nodefs_available="5%", nodefs_inodesFree="5%")


def levels(pressure: Pressure) -> dict[str, Level]:
    """Return what is free by signal."""
    return {
        "memory.available": Level(pressure.memory_available_bytes, pressure.memory_size_bytes),
        "nodefs.available": Level(pressure.disk_available_bytes, pressure.disk_size_bytes),
        "nodefs.inodesFree": Level(pressure.inodes_free, pressure.inodes),
        "imagefs.available": Level(pressure.image_disk_available_bytes, pressure.image_disk_size_bytes),
        "imagefs.inodesFree": Level(pressure.image_inodes_free, pressure.image_inodes),
        "pid.available": Level(pressure.pids_available, pressure.pids),
    }


@dataclass(slots=True)
class ThresholdWatch:
    """Which thresholds are met, look by look.

    thresholds: hard and soft ones. transition_s: how long a condition lasts beyond its cause.
    """

    thresholds: Sequence[Threshold] = DEFAULTS
    transition_s: float = TRANSITION_S
    _since_s: dict[Threshold, float] = field(default_factory=dict)
    _seen_s: dict[str, float] = field(default_factory=dict)

    def look(self, pressure: Pressure, now_s: float) -> list[Met]:
        """Return the thresholds for which pods have to go, hard ones first; `now_s`: of a clock that never goes back."""
        found = levels(pressure)
        met = []
        for one in self.thresholds:
            level = found[one.signal]
            if level.capacity <= 0:
                continue
            limit = one.amount.of(level.capacity)
            if one in self._since_s:
                limit += one.reclaim.of(level.capacity)
            if level.available >= limit:
                self._since_s.pop(one, None)
                continue
            since_s = self._since_s.setdefault(one, now_s)
            self._seen_s[CONDITIONS[one.signal]] = now_s
            if one.grace_s is None or now_s - since_s >= one.grace_s:
                met.append(Met(one, level))
        return sorted(met, key=lambda one: one.threshold.grace_s is not None)

    def conditions(self, now_s: float) -> Mapping[str, bool]:
        """Return which of the node's pressure conditions hold."""
        return {
            kind: kind in self._seen_s and (now_s - self._seen_s[kind] < self.transition_s)
            for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
        }
