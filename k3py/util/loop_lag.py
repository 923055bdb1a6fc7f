"""How late the event loop runs what is due: measured only while somebody reads it, so that an idle process stays asleep."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.util.metrics import Computed

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAMPLES: Final = 20
_STEP_S: Final = 0.05


class LoopLag:
    """Each reading gives the worst lag of the second that followed the reading before, and starts another such second."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._shown_s = 0.0
        self._left = 0

    def metric(self) -> Computed:
        """Return the gauge."""
        return Computed(
            "k3py_loop_lag_seconds",
            "How late the event loop was at worst, in the second after the metrics were last read.",
            (),
            self._read,
        )

    def _read(self) -> Iterable[tuple[tuple[str, ...], float]]:
        if self._left == 0:
            self._left = _SAMPLES
            self._shown_s, self._worst_s = self._worst_s, 0.0
            self._arm()
        yield (), self._shown_s

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _STEP_S
        loop.call_at(due, self._take, due)

    def _take(self, due: float) -> None:
        self._worst_s = max(self._worst_s, asyncio.get_running_loop().time() - due)
        self._left -= 1
        if self._left > 0:
            self._arm()
