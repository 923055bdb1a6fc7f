"""Reads a container's log, and follows it by inotify until the container has ended.

Source: pkg/kubelet/kuberuntime/logs/logs.go ReadLogs v1.35.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, BinaryIO, Final

from k3py.kubelet.server.log_options import LineFilter
from k3py.util.inotify import CREATE, MODIFY, MOVED, Inotify
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from k3py.kubelet.server.log_options import LogOptions

CHUNK_BYTES: Final = 64 * 1024


async def read_log(path: Path, options: LogOptions, ended: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield what the client shall see, in pieces.

    Args:
        path: the container's log file.
        options: what the client wants.
        ended: set when the container does not run any more; then following ends with the file.

    Raises:
        OSError: no such file.
    """
    lines = LineFilter(options)
    if options.tail_lines == 0 and not options.follow:
        return
    file = await asyncio.to_thread(_open, path, options.tail_lines)
    try:
        if not options.follow:
            async for piece in _read_on(file, lines, bytearray()):
                yield piece
            return
        async for piece in _follow(path, file, lines, ended):
            yield piece
    finally:
        file.close()


async def _follow(
    path: Path, file: BinaryIO, lines: LineFilter, ended: asyncio.Event
) -> AsyncIterator[bytes]:
    async with Inotify() as watch, TaskScope() as scope:
        watch.add(path, MODIFY)
        watch.add(path.parent, CREATE | MOVED)
        _ = scope.spawn(_poke_at_end(watch, ended), name="log-end")
        try:
            rest = bytearray()
            current = file
            while not lines.exhausted:
                # Asked before reading: what was written before the end is in the file by then.
                over = ended.is_set()
                async for piece in _read_on(current, lines, rest):
                    yield piece
                following = await asyncio.to_thread(_reopen_if_rotated, path, current)
                if following is not None:
                    if current is not file:
                        current.close()
                    current = following
                    watch.add(path, MODIFY)
                    continue
                if over:
                    break
                await watch.changed()
            if current is not file:
                current.close()
        finally:
            scope.cancel()


async def _poke_at_end(watch: Inotify, ended: asyncio.Event) -> None:
    await ended.wait()
    watch.poke()


async def _read_on(file: BinaryIO, lines: LineFilter, rest: bytearray) -> AsyncIterator[bytes]:
    """Yield what is complete between here and the end of the file; an unfinished line stays in `rest`."""
    while not lines.exhausted:
        chunk = await asyncio.to_thread(file.read, CHUNK_BYTES)
        if not chunk:
            return
        rest += chunk
        *complete, last = bytes(rest).split(b"\n")
        rest[:] = last
        out = b"".join(map(lines.convert, complete))
        if out:
            yield out


def _open(path: Path, tail_lines: int | None) -> BinaryIO:
    file = path.open("rb")
    if tail_lines is not None:
        file.seek(find_tail(file, tail_lines))
    return file


def find_tail(file: BinaryIO, lines: int) -> int:
    """Return the offset of the last `lines` lines of a file."""
    end = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    position, found = end, 0
    while position > 0:
        start = max(0, position - CHUNK_BYTES)
        file.seek(start)
        chunk = file.read(position - start)
        at = len(chunk)
        while (at := chunk.rfind(b"\n", 0, at)) >= 0:
            # The newline at the very end closes the last line.
            if start + at != end - 1:
                found += 1
                if found == lines:
                    return start + at + 1
        position = start
    return 0


def _reopen_if_rotated(path: Path, file: BinaryIO) -> BinaryIO | None:
    """Return the new file when the log was moved away and begun anew."""
    try:
        now, then = path.stat(), os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    return path.open("rb") if (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) else None
