"""Tells when files change, by inotify(7): no polling, one descriptor for all watches of an owner.

Source: inotify(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

MODIFY: Final = 0x2
CLOSE_WRITE: Final = 0x8
MOVED: Final = 0xC0
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
_NONBLOCK: Final = os.O_NONBLOCK
_CLOEXEC: Final = os.O_CLOEXEC


class Inotify:
    """Watches of one owner; enter it, add paths, await `changed`.

    Raises (on entry):
        OSError: the machine's limit of inotify instances is reached.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        self._event = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._descriptor = self._libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        asyncio.get_running_loop().add_reader(self._descriptor, self._on_readable)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def add(self, path: Path, mask: int) -> None:
        """Watch a file or folder.

        Raises:
            OSError: it is not there.
        """
        if self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), ctypes.c_uint32(mask)) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))

    def poke(self) -> None:
        """Let `changed` return: something else that its waiter wants to know has happened."""
        self._event.set()

    async def changed(self) -> None:
        """Return once anything watched has changed since the last call."""
        await self._event.wait()
        self._event.clear()

    async def settled(self, *, quiet_s: float, longest_s: float) -> None:
        """Return when nothing has changed for `quiet_s`, or when changes have not ended after `longest_s`."""
        try:
            async with asyncio.timeout(longest_s):
                while True:
                    try:
                        async with asyncio.timeout(quiet_s):
                            await self.changed()
                    except TimeoutError:
                        return
        except TimeoutError:
            return

    def _on_readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 64 * 1024)
        self._event.set()
