"""The clock: plausible, and kept by somebody."""

from __future__ import annotations

import ctypes
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.cli.doctor.finding import error, fine, warning
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine

_EARLIEST: Final = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)  # no k3py is older
_LATEST: Final = dt.datetime(2060, 1, 1, tzinfo=dt.UTC)
_UNSYNCHRONISED: Final = 0x40
_TIMEX_BYTES: Final = 256
_TOLERANCE_S: Final = 60
_SERVICES: Final = ("chronyd", "chrony", "ntpd", "systemd-timesyncd", "systemd-timesyn", "openntpd", "ptp4l")
_MEND: Final = "timedatectl set-ntp true   # or: apt-get install chrony; without a network: date -s 'YYYY-MM-DD hh:mm' && hwclock -w"


def check_clock(machine: Machine) -> Iterator[Finding]:
    """Not before this program, not before what it wrote, not forever ahead; synchronised if anybody keeps it."""
    now = clock.now()
    if not _EARLIEST < now < _LATEST:
        yield error(
            "clock",
            f"{now:%Y-%m-%d %H:%M} UTC",
            "certificates of others count as ended or not begun, and ages and schedules (CronJobs) are wrong",
            _MEND,
        )
        return
    newest = _newest_write(machine)
    if newest is not None and (newest - now).total_seconds() > _TOLERANCE_S:
        yield error(
            "clock",
            f"{now:%Y-%m-%d %H:%M} UTC, but k3py's datastore was written at {newest:%Y-%m-%d %H:%M}",
            "the clock went back: ages are negative, schedules run twice, snapshots sort wrongly",
            _MEND,
        )
        return
    kept = [name for _, words in machine.processes() if (name := Path(words[0]).name) in _SERVICES]
    if machine.root == Path("/") and not kept and not _is_synchronised():
        yield warning(
            "clock",
            f"{now:%Y-%m-%d %H:%M} UTC; nobody keeps it right",
            "after weeks, machines disagree about the time: certificates of others, tokens and schedules suffer",
            _MEND,
        )
        return
    yield fine("clock", f"{now:%Y-%m-%d %H:%M} UTC" + (f", kept by {kept[0]}" if kept else ""))


def _newest_write(machine: Machine) -> dt.datetime | None:
    times = [path.stat().st_mtime for path in (machine.data_dir / "server" / "db").glob("state.db*")]
    return dt.datetime.fromtimestamp(max(times), tz=dt.UTC) if times else None


def _is_synchronised() -> bool:
    """Ask the kernel (adjtimex, reading only) whether somebody keeps its clock."""
    answer = ctypes.create_string_buffer(_TIMEX_BYTES)
    ctypes.CDLL(None).adjtimex(answer)
    # struct timex: modes (int), offset, freq, maxerror, esterror (long), status (int)
    at = ctypes.sizeof(ctypes.c_long) * 5
    status = int.from_bytes(answer.raw[at : at + 4], "little")
    return not status & _UNSYNCHRONISED
