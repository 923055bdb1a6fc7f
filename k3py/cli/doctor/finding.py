"""What a check of the machine found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        check: what was looked at, one word.
        level: error = k3py or pods do not work like this, warning = they do, not well or not for long.
        found: what is there, one line.
        why: what comes of it; "" when all is well.
        mend: the command or step that mends it; "" when all is well.
    """

    check: str
    level: Level
    found: str
    why: str = ""
    mend: str = ""

    def as_object(self) -> JsonObject:
        """Return it as `-o json` shows it."""
        shown: JsonObject = {"check": self.check, "level": self.level, "found": self.found}
        if self.level != "ok":
            shown |= {"why": self.why, "mend": self.mend}
        return shown


def fine(check: str, found: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check=check, level="ok", found=found)


def warning(check: str, found: str, why: str, mend: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(check=check, level="warning", found=found, why=why, mend=mend)


def error(check: str, found: str, why: str, mend: str) -> Finding:
    """Return a finding that keeps k3py or pods from working."""
    return Finding(check=check, level="error", found=found, why=why, mend=mend)
