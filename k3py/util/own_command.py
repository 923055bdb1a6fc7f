"""How this process was started, to start another command of the same program: from a package, a checkout or the single file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_COMMAND_LINE: Final = Path("/proc/self/cmdline")


def find_command(own: str, other: str, *, command_line: Path = _COMMAND_LINE) -> list[str]:
    """Return the command line of `other`, where this process runs the command `own`; [] when that is not seen.

    What stands before the command (loader, interpreter and its options, program) is kept as it is.
    """
    try:
        words = command_line.read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []
    text = [word.decode("utf-8", "surrogateescape") for word in words]
    return [*text[: text.index(own)], other] if own in text[1:] else []
