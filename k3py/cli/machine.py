"""The machine that is looked at: files below a root (another one in tests), the settings of k3py, and programs that tell more."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.runtime.program import find_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from k3py.config.option import Role
    from k3py.config.value import Value

_PROGRAM_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What checks read.

    Attributes:
        root: where the machine's file system begins.
        role: what runs here, or would.
        values: the settings of that role.
        pid: of the k3py that holds the data dir, 0 = none runs.
    """

    root: Path
    role: Role
    values: Mapping[str, Value]
    pid: int = 0

    @property
    def data_dir(self) -> Path:
        """Return the data dir as this process sees it."""
        return self.path(str(self.values["data_dir"]))

    @property
    def runs_pods(self) -> bool:
        """Whether this machine is a node."""
        return self.role == "agent" or not self.values["disable_agent"]

    def path(self, name: str) -> Path:
        """Return where an absolute path of the machine is for this process."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str:
        """Return a file's text without the blanks at its ends, "" when it cannot be read."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def exists(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        return os.path.lexists(self.path(name))

    def processes(self) -> Iterator[tuple[int, list[str]]]:
        """Yield process id and command line of all processes that have one."""
        for folder in self.path("/proc").glob("[0-9]*"):
            words = [one for one in self.read(f"/proc/{folder.name}/cmdline").split("\0") if one]
            if words:
                yield int(folder.name), words

    def ask(self, program: str, *arguments: str) -> str:
        """Return what a program prints, "" when it is missing, fails, or when another root is looked at."""
        found = find_program(program) if self.root == Path("/") else None
        if found is None:
            return ""
        try:
            done = subprocess.run(  # noqa: S603 - a constant name, found on the search path
                [str(found), *arguments], check=False, capture_output=True, text=True, timeout=_PROGRAM_S
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout if done.returncode == 0 else ""


def holder_of(data_dir: Path) -> int:
    """Return the process that holds a data dir, 0 for none; asks the kernel's list of locks, takes no lock itself."""
    try:
        found = (data_dir / "k3py.lock").stat()
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return 0
    key = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in locks.splitlines():
        words = line.split()
        if "FLOCK" in words and key in words:
            return int(words[words.index(key) - 1])
    return 0
