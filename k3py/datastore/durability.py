"""How soon an acknowledged write of an SQLite store is on the disk, and how few bytes it costs there (spec/datastore.md 254, 255)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Durability(Enum):
    """The modes, as `--datastore-durability` spells them."""

    DURABLE = "durable"
    """Before the acknowledgement: what an etcd does."""

    BALANCED = "balanced"
    """Within a fifth of a second."""

    FLASH = "flash"
    """Within five seconds, in few and small writes."""

    @property
    def effort(self) -> Effort:
        """What the mode means for the driver."""
        return _EFFORTS[self]


@dataclass(frozen=True, slots=True)
class Effort:
    """What a mode means.

    sync_s: acknowledged writes are on the disk within so many seconds; 0: before they are acknowledged.
    window_s: a group of writes is collected for so long.
    checkpoint_bytes: so much is written to the log before its pages go to the file, each once.
    """

    sync_s: float
    window_s: float
    checkpoint_bytes: int


_EFFORTS = {
    Durability.DURABLE: Effort(0.0, 0.0, 4 << 20),
    Durability.BALANCED: Effort(0.2, 0.0, 4 << 20),
    Durability.FLASH: Effort(5.0, 0.01, 16 << 20),
}
