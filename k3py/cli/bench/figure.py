"""What a benchmark found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what was measured, how much, in which unit, and what else there is to know."""

    name: str
    value: float
    unit: str
    note: str = ""

    def __str__(self) -> str:
        shown = f"{self.value:.0f}" if abs(self.value) >= 100 else f"{self.value:.2f}"
        return f"{self.name}: {shown} {self.unit}" + (f" ({self.note})" if self.note else "")
