"""A mark beside the database, `<name>.run`, that says who had it open last.

So a file that was put back from a copy, or has lost its last acknowledged writes in a power cut, is noticed, and its revisions continue
behind a gap (spec/datastore.md 253).
Each opening writes a new random number, the run, into the database and into the mark. What is found out at the next opening:

- the numbers differ, or there is no mark: the file is another one than was open here last (a backup put back, a copy moved here);
- it was closed, and its inode, size or times are not what they were then: it was copied back, or written by somebody else;
- it was not closed, and has another inode: a copied folder;
- it was not closed, was not `durable`, and the machine has booted since: acknowledged writes may be missing.

What is not found out: a disk image or the snapshot of a virtual machine that is put back as a whole, and a copy taken from the running
store that is written over the file of the same, killed run. Blocking; only while this process has no connection to the file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

import orjson

from k3py.datastore.durability import Durability
from k3py.util.files import write_atomically

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Finding(Enum):
    """What may be wrong with the newest revision in the database."""

    NOTHING = ""
    OTHER_FILE = "the database was put back from a copy, moved, or written by another program"
    LOST_TAIL = "the machine went down before the last acknowledged writes were on the disk"


@dataclass(frozen=True, slots=True)
class RunMark:
    """What the mark says.

    run: number of the run; 0: none. before: of the one before, which the database holds until the run has begun.
    boot: identity of the machine's boot. closed: size and times of the cleanly closed file, "" while it is open.
    """

    run: int
    before: int
    boot: str
    durability: str
    inode: int
    closed: str = ""

    def write(self, database: Path) -> None:
        """Write the mark. Raises OSError."""
        write_atomically(_file(database), orjson.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class Observed:
    """A mark, and whether the file is the one that it speaks of, as it was before anybody opened it."""

    mark: RunMark | None
    is_same_file: bool

    def judge(self, run: int) -> Finding:
        """Say what may be wrong with a database that holds the number `run`."""
        if run == 0:
            return Finding.NOTHING  # new, restored on purpose, or of an older version
        mark = self.mark
        if mark is None or not self.is_same_file or run not in (mark.run, mark.before):
            return Finding.OTHER_FILE
        if not mark.closed and mark.boot != boot_id() and mark.durability != Durability.DURABLE.value:
            return Finding.LOST_TAIL
        return Finding.NOTHING


def observe(database: Path) -> Observed:
    """Look at a database that nobody has open. Raises OSError."""
    try:
        mark = RunMark(**orjson.loads(_file(database).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return Observed(None, is_same_file=False)
    same = mark.inode == database.stat().st_ino and mark.closed in ("", _state_of(database))
    return Observed(mark, is_same_file=same)


def begin_run(database: Path, run: int, before: int, durability: Durability) -> RunMark:
    """Write the mark of a run that is about to begin: the number goes into the database next. Raises OSError."""
    mark = RunMark(run, before, boot_id(), durability.value, database.stat().st_ino)
    mark.write(database)
    return mark


def note_begun(database: Path, mark: RunMark) -> RunMark:
    """Write that the database has the number now. Raises OSError."""
    mark = replace(mark, before=mark.run)
    mark.write(database)
    return mark


def note_closed(database: Path, mark: RunMark) -> None:
    """Write that the database was closed, if it really was. Raises OSError."""
    wal = database.with_name(f"{database.name}-wal")
    if not (wal.exists() and wal.stat().st_size > 0):
        replace(mark, closed=_state_of(database)).write(database)


def boot_id() -> str:
    """Return what tells this boot of the machine from others; "" where the system does not say."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _file(database: Path) -> Path:
    return database.with_name(f"{database.name}.run")


def _state_of(database: Path) -> str:
    stat = database.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
