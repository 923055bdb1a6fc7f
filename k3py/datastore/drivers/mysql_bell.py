"""Wakes the other servers on a MariaDB or MySQL database, which has nothing like LISTEN: by its named locks.

A server holds one of two locks of its own, and the others wait for that one. When it has committed it takes its other lock and lets go of
the first: whoever waited gets it, gives it back at once, looks what is new, and waits for the other lock. So an idle server hears of a
change within two round trips, and nobody polls for it. Both locks free: that server is gone.

It is only a hint: the poll in `mysql` finds what a bell did not tell (what a server writes in the second after it came, a database behind a proxy or in a
cluster that does not share named locks).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from k3py.datastore.errors import DatastoreError
from k3py.datastore.sql import server_statements
from k3py.datastore.sql.server_statements import Statement
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.datastore.drivers.mysql_server import Server, Session

log = logging.getLogger(__name__)

RING_PAUSE_S = 0.02
"""Rung once, the others look every few milliseconds for a while."""

LISTEN_S = 60
GRAB_S = 1
ANSWER_S = 10.0
KEPT_OPEN = "SET SESSION wait_timeout = 31536000"


class Bell:
    """The bell of the server `writer_id`, and its ears for those of others."""

    def __init__(self, server: Server, writer_id: int) -> None:
        self._server = server
        self._writer_id = writer_id
        self._due = asyncio.Event()

    def ring(self) -> None:
        """Tell the others soon that there is something new."""
        self._due.set()

    async def run(self) -> None:
        """Ring when it is due, until cancelled."""
        pauses = Backoff(first_s=0.1, cap_s=5.0)
        while True:
            session: Session | None = None
            try:
                session = await self._server.connect()
                await session.run(KEPT_OPEN, _grab(self._writer_id, 0, GRAB_S))
                # Now that the lock is held: the others look for it when they see a new row.
                await session.fetch(Statement(server_statements.FORGET_WRITERS))
                await session.fetch(Statement(server_statements.JOIN_WRITERS, (self._writer_id,)))
                pauses.reset()
                await self._ring_with(session)
            except DatastoreError as error:
                log.debug("cannot ring", extra={"error": str(error)})
            finally:
                if session is not None:
                    session.abort()
            await asyncio.sleep(pauses.next_s())

    async def _ring_with(self, session: Session) -> None:
        held = 0
        while True:
            await self._due.wait()
            self._due.clear()
            ((got,),) = await session.run(_grab(self._writer_id, 1 - held, GRAB_S))
            if got == 1:  # else somebody has just heard the last one and is about to look
                await session.run(_release(self._writer_id, held))
                held = 1 - held
            await asyncio.sleep(RING_PAUSE_S)

    async def listen(self, other_id: int, heard: Callable[[], None]) -> None:
        """Call `heard` whenever another server rings, until it is gone."""
        try:
            session = await self._server.connect()
        except DatastoreError:
            return
        try:
            await session.run(KEPT_OPEN)
            waiting_for = 0
            heard()  # it may have rung while we connected
            while True:
                ((got,),) = await session.run(
                    _grab(other_id, waiting_for, LISTEN_S), timeout_s=LISTEN_S + ANSWER_S
                )
                if got != 1:
                    continue
                ((gone,),) = await session.run(_release(other_id, waiting_for), _is_gone(other_id))
                heard()
                if gone:
                    return
                waiting_for = 1 - waiting_for
        except DatastoreError as error:
            log.debug("cannot listen to another server", extra={"error": str(error)})
        finally:
            session.abort()


def _name(writer_id: int, which: int) -> str:
    return f"k3py:{writer_id}:{which}"


def _grab(writer_id: int, which: int, timeout_s: int) -> str:
    return f"SELECT GET_LOCK('{_name(writer_id, which)}', {timeout_s})"


def _release(writer_id: int, which: int) -> str:
    return f"SELECT RELEASE_LOCK('{_name(writer_id, which)}')"


def _is_gone(writer_id: int) -> str:
    locks = (f"IS_USED_LOCK('{_name(writer_id, which)}') IS NULL" for which in (0, 1))
    return f"SELECT {' AND '.join(locks)}"
