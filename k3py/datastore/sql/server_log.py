"""What the drivers of database servers share: a `SharedLog` over statements; the drivers bring connections, commits and hints."""

from __future__ import annotations

import logging
import secrets
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from k3py.datastore.errors import Compacted, DatastoreError
from k3py.datastore.interface import KeyValue, LeaseId, RangeResult, Revision
from k3py.datastore.mvcc.log import Lease, LogPage, LogState
from k3py.datastore.mvcc.row_cache import RowCache
from k3py.datastore.mvcc.shared_log import SharedState
from k3py.datastore.sql import server_statements as statements
from k3py.datastore.sql.rows import log_rows, to_kv, to_page
from k3py.datastore.sql.server_statements import Row, Statement
from k3py.datastore.sql.statements import first_id
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.datastore.mvcc.log import Commit
    from k3py.datastore.sql.server_statements import Dialect

log = logging.getLogger(__name__)

ROW_CACHE_BYTES = 4 << 20
SELECT_KEYS = 512
JUMP_REVISIONS = 1_000_000_000
"""More than a restored database can lack."""

PURGED_REVISIONS = 256
NOT_ATTEMPTED = -1
"""Instead of a serial: the connection broke before the commit was sent, so it did not happen."""

ALL = (b"\0", b"\0")


class Session(Protocol):
    """One connection; errors are conditions of the datastore."""

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Run a statement and return its rows."""


class ServerLog:
    """See `SharedLog`; a driver adds `append`, `locked`, `follow`, `size` and the statements that differ."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._cache = RowCache(ROW_CACHE_BYTES)
        self.writer_id = secrets.randbits(62)
        self.serial = -1
        self._lease_serial = -1
        self._attempted_serial = NOT_ATTEMPTED
        self._purged_at_once = PURGED_REVISIONS

    # What a driver brings

    def reading(self) -> AbstractAsyncContextManager[Session]:
        """Take a connection for reads of committed rows."""
        raise NotImplementedError

    def writing(self) -> AbstractAsyncContextManager[Session]:
        """Take the connection of the writer task."""
        raise NotImplementedError

    leases_statement: str
    """Reads id, ttl_s and age in seconds of all leases."""

    async def check_origin(self, origin: str) -> None:
        """Continue behind a gap of revisions when the tables were restored into another installation than the one that wrote them.

        A backup lacks the last changes before it; their revisions were seen by clients and must not be given out again.
        """
        async with self._transaction() as session:
            ((before,),) = await session.fetch(Statement(statements.ORIGIN))
            if before == origin:
                return
            if not before:
                await session.fetch(Statement(statements.SET_ORIGIN, (origin,)))
                return
            jump = (JUMP_REVISIONS, JUMP_REVISIONS, origin)
            await session.fetch(Statement(statements.CONTINUE_ELSEWHERE, jump))
        log.warning("the database was restored or moved: revisions continue behind a gap, clients list anew")

    # Reading

    async def _fetch(self, statement: Statement) -> Sequence[Row]:
        async with self.reading() as session:
            return await session.fetch(statement)

    async def load(self) -> LogState:
        """See `Log`."""
        state = await self.refresh()
        self.build_on(state)
        return LogState(state.revision, state.compact_revision, state.leases or ())

    async def refresh(self) -> SharedState:
        """See `SharedLog`."""
        async with self.reading() as session:
            return await self._refresh(session, statements.STATE)

    async def _refresh(self, session: Session, sql: str) -> SharedState:
        ((serial, lease_serial, revision, compacted),) = await session.fetch(Statement(sql))
        leases: tuple[Lease, ...] | None = None
        if lease_serial != self._lease_serial:
            wall_s = clock.wall_s()
            rows = await session.fetch(Statement(self.leases_statement))
            leases = tuple(Lease(LeaseId(id_), ttl_s, wall_s - max(0.0, age_s)) for id_, ttl_s, age_s in rows)
        return SharedState(Revision(revision), Revision(compacted), leases, (serial, lease_serial))

    def build_on(self, state: SharedState) -> None:
        """See `SharedLog`."""
        self.serial, self._lease_serial = state.serials

    async def latest_revision(self) -> Revision:
        """See `SharedLog`."""
        ((revision,),) = await self._fetch(Statement(statements.LATEST_REVISION))
        return Revision(revision)

    async def current(self, keys: Iterable[bytes]) -> Mapping[bytes, KeyValue]:
        """See `Log`."""
        found: dict[bytes, KeyValue] = {}
        missing: list[bytes] = []
        for key in keys:
            row = self._cache.get(key)
            if row is None:
                missing.append(key)
            else:
                found[key] = row
        for at in range(0, len(missing), SELECT_KEYS):
            some = missing[at : at + SELECT_KEYS]
            for stored in await self._fetch(statements.current_rows(self._dialect, some)):
                kv = to_kv(*stored)
                found[kv.key] = kv
                self._cache.put(kv)
        return found

    async def lease_keys(self, lease: LeaseId) -> Sequence[bytes]:
        """See `Log`."""
        return [row[0] for row in await self._fetch(Statement(statements.LEASE_KEYS, (lease,)))]

    async def range(
        self, start: bytes, end: bytes | None, *, limit: int, revision: int, count_only: bool, keys_only: bool
    ) -> RangeResult:
        """See `SharedLog`."""
        if revision:
            statement = statements.range_then(
                self._dialect,
                start,
                end,
                revision=revision,
                limit=limit,
                count_only=count_only,
                keys_only=keys_only,
            )
        elif count_only:
            statement = statements.count_now(start, end)
        else:
            statement = statements.range_now(self._dialect, start, end, limit=limit, keys_only=keys_only)
        header, *rows = await self._fetch(statement)
        _, now, counted, compacted, *_ = header
        if revision and revision < compacted:
            raise Compacted(compacted)
        count = counted if counted >= 0 else len(rows)
        return RangeResult(tuple([to_kv(*row) for row in rows]), count, Revision(now))

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """See `SharedLog`."""
        while True:
            header, *rows = await self._fetch(statements.events_after(start, end, after=after, limit=limit))
            if after < header[3] - 1:
                raise Compacted(header[3])
            page = to_page(rows, limit, max(after, Revision(header[1])))
            if page is not None:
                return page
            limit *= 4

    async def learn(self, after: Revision, limit: int) -> LogPage:
        """See `SharedLog`."""
        try:
            page = await self.events(*ALL, after=after, limit=limit)
        except Compacted:
            self._cache.clear()  # what changed meanwhile cannot be learned any more
            raise
        self._cache.apply(page.events)
        return page

    # Writing

    async def resolve(self) -> bool:
        """See `SharedLog`."""
        self._cache.clear()
        async with self._transaction() as session:
            await session.fetch(Statement(statements.FENCE))
            rows = await session.fetch(Statement(statements.OWN_SERIAL, (self.writer_id,)))
        return bool(rows) and rows[0][0] == self._attempted_serial

    async def restore_order(self, beyond: Revision) -> None:
        """See `SharedLog`."""
        self._cache.clear()
        revision = beyond + JUMP_REVISIONS
        async with self._transaction() as session:
            await session.fetch(Statement(statements.RESTORE_ORDER, (revision, revision, beyond)))

    async def set_compact_revision(self, revision: Revision) -> None:
        """See `Log`."""
        async with self._transaction() as session:
            await session.fetch(Statement(statements.SET_COMPACT_REVISION, (revision, revision)))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Session]:
        """Run statements on a connection for reads as one transaction."""
        async with self.reading() as session:
            await session.fetch(Statement("START TRANSACTION"))
            try:
                yield session
            except BaseException:
                # Cancelled: the connection is closed already, which must not hide why we are here.
                with suppress(DatastoreError):
                    await session.fetch(Statement("ROLLBACK"))
                raise
            await session.fetch(Statement("COMMIT"))

    async def purge(self, budget_s: float) -> bool:
        """See `Log`."""
        ((compacted,),) = await self._fetch(Statement("SELECT compact_revision FROM k3py_meta"))
        begin = clock.monotonic_s()
        async with self._transaction() as session:
            ((purged,),) = await session.fetch(Statement(statements.PURGED_REVISION + " FOR UPDATE"))
            if purged >= compacted:
                return False
            upper = min(purged + self._purged_at_once, compacted)
            ids = (first_id(purged), first_id(upper))
            await session.fetch(Statement(statements.purge_superseded(self._dialect), ids))
            await session.fetch(Statement(statements.PURGE_TOMBSTONES, ids))
            await session.fetch(Statement(statements.SET_PURGED_REVISION, (upper,)))
        took_s = clock.monotonic_s() - begin
        factor = 2.0 if took_s < budget_s * 4 else 0.5 if took_s > budget_s * 16 else 1.0
        self._purged_at_once = max(64, min(10_000, int(self._purged_at_once * factor)))
        return True

    def _committed(self, commit: Commit) -> None:
        """Take in what was just committed."""
        self._cache.apply(commit.events)
        if not commit.is_empty:
            self.serial += 1
            if commit.grants or commit.revokes:
                self._lease_serial += 1


def newest_rows(
    commit: Commit,
) -> tuple[list[tuple[bytes, int, int, int, int]], list[bytes]]:
    """Return what the table of current rows must get: rows (name, id, created, version, lease) to write, names to delete."""
    last: dict[bytes, tuple[int, KeyValue]] = {}
    for row, event in zip(log_rows(commit.events), commit.events, strict=True):
        last[event.kv.key] = (row[0], event.kv)
    written: list[tuple[bytes, int, int, int, int]] = [
        (key, id_, kv.create_revision, kv.version, kv.lease) for key, (id_, kv) in last.items() if kv.version
    ]
    return written, [key for key, (_, kv) in last.items() if not kv.version]
