"""The backend --audit-log-path: lines of JSON in a file that is rotated by size, and old ones removed by age and number.

A request waits while too many events are unwritten, so that none is lost (upstream's mode `blocking`); writing happens off the loop.
Source: k8s.io/apiserver/plugin/pkg/audit/log v0.35, gopkg.in/natefinch/lumberjack.v2 (names and times of rotated files).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import logging
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.util import clock
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3py.apiserver.audit.recorder import Backend
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)

_MOST_UNWRITTEN: Final = 1000
_TRY_AGAIN_S: Final = 5.0
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFileSettings:
    """path: "-" = standard output. most_megabytes: of one file. most_days, most_files: of old files, 0 = no limit. compress: old files."""

    path: Path
    most_megabytes: int = 100
    most_days: int = 0
    most_files: int = 0
    compress: bool = False


class LogFile:
    """A component, and a backend."""

    name = "audit-log"
    policy = Policy.RESTART

    def __init__(self, settings: LogFileSettings) -> None:
        self._settings = settings
        self._lines: list[bytes] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    async def room(self) -> None:
        """Wait until what was written before is on its way to the disk."""
        while len(self._lines) >= _MOST_UNWRITTEN:
            self._emptied.clear()
            await self._emptied.wait()

    def take(self, line: bytes) -> None:
        """Take an event."""
        self._lines.append(line)
        self._filled.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Write until cancelled, and then the rest."""
        started()
        try:
            while True:
                await self._filled.wait()
                await self._write()
        finally:
            if self._lines:
                self._append(b"\n".join((*self._lines, b"")))  # at the end nothing else waits for the loop
                self._lines = []

    async def _write(self) -> None:
        self._filled.clear()
        count = len(self._lines)
        data = b"\n".join((*self._lines, b""))
        writing = asyncio.get_running_loop().run_in_executor(None, self._append, data)
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait((writing,))  # the thread goes on: what it writes must not be written again
            if writing.exception() is None:
                del self._lines[:count]
            raise
        except OSError as error:
            log.warning(
                "the audit log cannot be written, requests that it is about will wait",
                extra={"why": str(error)},
            )
            await asyncio.sleep(_TRY_AGAIN_S)
            self._filled.set()
            return
        del self._lines[:count]
        self._emptied.set()

    def _append(self, data: bytes) -> None:
        path = self._settings.path
        if str(path) == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = 0
        if size and size + len(data) > self._settings.most_megabytes * _MEGABYTE:
            self._rotate()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(data)

    def _rotate(self) -> None:
        path = self._settings.path
        stamp = clock.now().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
        target = path.with_name(f"{path.stem}-{stamp}{path.suffix}")
        path.rename(target)
        if self._settings.compress:
            packed = target.with_name(target.name + ".gz")
            with target.open("rb") as source, gzip.open(packed, "wb") as sink:
                packed.chmod(0o600)
                shutil.copyfileobj(source, sink)
            target.unlink()
        self._remove_old()

    def _remove_old(self) -> None:
        settings = self._settings
        path = settings.path
        found = sorted(
            path.parent.glob(f"{path.stem}-*{path.suffix}*"), key=lambda one: one.name, reverse=True
        )
        oldest = clock.now() - dt.timedelta(days=settings.most_days)
        for number, one in enumerate(found):
            too_many = settings.most_files and number >= settings.most_files
            too_old = (
                settings.most_days and dt.datetime.fromtimestamp(one.stat().st_mtime, tz=dt.UTC) < oldest
            )
            if too_many or too_old:
                one.unlink(missing_ok=True)


if TYPE_CHECKING:

    def _check(one: LogFile) -> tuple[Backend, Component]:
        return one, one
