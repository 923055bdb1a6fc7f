"""`http(s)://host:port,…`: a `Backend` over an external etcd v3 cluster, which does the work; the only driver without `mvcc`.

etcd's own revisions, leases and watches are passed on. What it cannot tell is told apart: an event whose previous row is compacted ends
the watch as Compacted, since `Event.previous` is a promise.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from k3py.datastore.drivers.etcd_messages import (
    compare_document,
    op_document,
    op_result,
    range_document,
    range_result,
)
from k3py.datastore.drivers.etcd_watch import EtcdWatch
from k3py.datastore.errors import Closed, Compacted, FutureRevision, LeaseNotFound, Unavailable
from k3py.datastore.etcdapi import revision_offset
from k3py.datastore.etcdapi.client import CompactedSomewhere, EtcdClient
from k3py.datastore.interface import (
    NO_LEASE,
    BackendStatus,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteOp,
    LeaseId,
    LeaseStatus,
    PutOp,
    RangeOp,
    Revision,
    TxnResult,
)
from k3py.datastore.mvcc.retention import Retention
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from k3py.datastore.interface import Backend, KeyValue, Op, RangeResult
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

MAX_LEASE_TTL_S: Final = 9_000_000_000
PROBE_S: Final = 0.5
CLOSING_S: Final = 1.0
DEFRAGMENT_S: Final = 3600.0
_FIRST_RIGHT_PROGRESS: Final = ((3, 4, 31), (3, 5, 13))


@asynccontextmanager
async def open_etcd(
    endpoints: Sequence[tuple[str, int]], *, tls: ssl.SSLContext | None = None, history_s: float | None
) -> AsyncIterator[EtcdBackend]:
    """Open a cluster.

    Args:
        endpoints: (host, port) of each member.
        tls: a client context that offers "h2"; None: no TLS.
        history_s: compact what is older than this, seconds; None: only when `compact` is called.

    Raises:
        Unavailable: no endpoint answers.
    """
    client = EtcdClient(endpoints, tls)
    try:
        async with TaskScope() as scope:
            backend = EtcdBackend(client, scope, history_s=history_s, tls=tls)
            await backend.check_server()
            if backend.retention is not None:
                _ = scope.spawn(backend.retention.run(), name="datastore-retention-etcd")
            try:
                yield backend
            finally:
                await backend.close()
                scope.cancel()
    finally:
        await client.close()


class EtcdBackend:
    """See `Backend`; made by `open_etcd`."""

    def __init__(
        self,
        client: EtcdClient,
        scope: TaskScope,
        *,
        history_s: float | None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._client = client
        self._tls = tls
        self._scope = scope
        self._revision = Revision(0)
        self._compact_revision: Revision | None = None
        self._watches: set[EtcdWatch] = set()
        self._numbers = count()
        self._closed = False
        self._answers_early = False
        self.retention = (
            None if history_s is None else Retention(self.compact, lambda: self.current_revision, history_s)
        )

    def reload_certificate(self, certificate: Path, key: Path) -> None:
        """Show a renewed certificate on connections that are opened from now on. Raises OSError, SSLError."""
        if self._tls is not None:
            self._tls.load_cert_chain(certificate, key)

    async def check_server(self) -> None:
        """Learn the current revision, and whether the server's progress answers may run ahead of its events."""
        stored = await self._client.call("KV/Range", {"key": revision_offset.KEY})
        self._client.offset = revision_offset.read_offset(stored)
        status = await self._call("Maintenance/Status", {})
        version = tuple(int(part) if part.isdigit() else 0 for part in status["version"].split(".")[:3])
        if version < _FIRST_RIGHT_PROGRESS[0] or (3, 5) <= version < _FIRST_RIGHT_PROGRESS[1]:
            self._answers_early = True
            log.info(
                "this etcd tells of progress before it delivers the events, so it is asked several times; better use 3.5.13 or newer",
                extra={"version": status["version"]},
            )

    async def begin_behind(self, revision: Revision) -> None:
        """Let revisions continue behind `revision`, once and for all: for a store that is just being filled, by nobody else.

        Raises:
            Unavailable: it cannot be written; or somebody else has begun.
        """
        wanted = revision - self._revision
        if wanted <= 0:
            return
        if self._client.offset:
            raise Unavailable("the etcd's revisions begin behind those of another store already")
        if await self.create(revision_offset.KEY, b"%d" % wanted) is None:
            raise Unavailable("somebody else sets where the etcd's revisions begin")
        self._client.offset = wanted
        self.saw(self._revision + wanted)

    async def close(self) -> None:
        """Refuse further calls; let watches have what was written until now, then end them."""
        self._closed = True
        waiting = [watch for watch in self._watches if watch.position < self._revision]
        for watch in waiting:
            watch.request_progress()
        if waiting:
            async with TaskScope() as scope:
                for watch in waiting:
                    _ = scope.spawn(watch.reached(self._revision, CLOSING_S), name="etcd-watch-end")
        for watch in self._watches:
            watch.fail(Closed())

    # Reading

    @property
    def current_revision(self) -> Revision:
        """See `Backend`: the newest that this process has heard of."""
        return self._revision

    async def latest_revision(self) -> Revision:
        """See `Backend`."""
        return (await self.range(b"\0", count_only=True)).revision

    def saw(self, revision: int) -> None:
        """Take note of a revision that the cluster told."""
        if revision > self._revision:
            self._revision = Revision(revision)
            if self.retention is not None:
                self.retention.wake()

    async def _call(self, name: str, request: JsonObject, *, write: bool = False) -> JsonObject:
        if self._closed:
            raise Closed
        answer = await self._client.call(name, request, write=write)
        self.saw(answer["header"]["revision"])
        return answer

    async def range(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int = 0,
        revision: int = 0,
        count_only: bool = False,
        keys_only: bool = False,
    ) -> RangeResult:
        """See `Backend`."""
        op = RangeOp(start, end, limit=limit, revision=revision, count_only=count_only, keys_only=keys_only)
        try:
            return range_result(await self._call("KV/Range", range_document(op)))
        except CompactedSomewhere:
            raise Compacted(await self._compacted_at(revision)) from None
        except FutureRevision:
            raise FutureRevision(self._revision) from None

    async def _compacted_at(self, revision: int) -> Revision:
        """Return the first readable revision, if `revision` is below it: etcd says it only to watches."""
        watch = self._new_watch(b"\0", None, Revision(max(0, revision - 1)))
        task = self._scope.spawn(watch.run(), name=watch.name)
        try:
            async with asyncio.timeout(PROBE_S):
                await anext(watch)
        except Compacted as error:
            self._compact_revision = Revision(error.compact_revision)
        except TimeoutError:
            return self._compact_revision or Revision(0)
        finally:
            task.cancel()
        return self._compact_revision or Revision(0)

    def _new_watch(self, start: bytes, end: bytes | None, after: Revision) -> EtcdWatch:
        name = f"etcd-watch-{next(self._numbers)}"
        return EtcdWatch(
            self._client,
            self.saw,
            lambda: self._revision,
            (start, end),
            after,
            name,
            answers_early=self._answers_early,
        )

    @asynccontextmanager
    async def watch(
        self, start: bytes, end: bytes | None = None, *, after: Revision
    ) -> AsyncIterator[EtcdWatch]:
        """See `Backend`."""
        watch = self._new_watch(start, end, after)
        if self._closed:
            watch.fail(Closed())
            yield watch
            return
        self._watches.add(watch)
        task = self._scope.spawn(watch.run(), name=watch.name)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            task.cancel()

    async def status(self) -> BackendStatus:
        """See `Backend`; sizes are those of the member that answered."""
        status = await self._call("Maintenance/Status", {})
        if self._compact_revision is None:
            self._compact_revision = await self._compacted_at(1)
        revision = Revision(status["header"]["revision"])
        size, in_use = status["dbSize"], status["dbSizeInUse"]
        return BackendStatus("etcd", revision, self._compact_revision, size, in_use)

    # Writing

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        """See `Backend`.

        Raises:
            ValueError: etcd refuses the transaction (a key changed twice, too many operations).
        """
        request: JsonObject = {
            "compare": [compare_document(compare) for compare in compares],
            "success": [op_document(op) for op in success],
            "failure": [op_document(op) for op in failure],
        }
        try:
            answer = await self._call("KV/Txn", request, write=True)
        except CompactedSomewhere:
            lowest = min(
                (op.revision for op in (*success, *failure) if isinstance(op, RangeOp) and op.revision),
                default=1,
            )
            raise Compacted(await self._compacted_at(lowest)) from None
        except FutureRevision:
            raise FutureRevision(self._revision) from None
        revision = Revision(answer["header"]["revision"])
        ops = success if answer["succeeded"] else failure
        pairs = zip(ops, answer["responses"], strict=True)
        results = tuple([op_result(op, response, revision) for op, response in pairs])
        return TxnResult(answer["succeeded"], results, revision)

    async def create(self, key: bytes, value: bytes, *, lease: LeaseId = NO_LEASE) -> Revision | None:
        """See `Backend`."""
        done = await self.txn((_mod_is(key, 0),), (PutOp(key, value, lease),))
        return done.revision if done.succeeded else None

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, lease: LeaseId = NO_LEASE
    ) -> tuple[Revision | None, KeyValue | None]:
        """See `Backend`."""
        done = await self.txn((_mod_is(key, expected),), (PutOp(key, value, lease),), (RangeOp(key),))
        return (done.revision, None) if done.succeeded else (None, _found(done))

    async def delete(self, key: bytes, *, expected: Revision) -> tuple[Revision | None, KeyValue | None]:
        """See `Backend`."""
        done = await self.txn((_mod_is(key, expected),), (DeleteOp(key),), (RangeOp(key),))
        found = _found(done)
        return (done.revision if done.succeeded and found is not None else None), found

    def compact_by_itself(self, *, whether: bool) -> None:
        """See `Backend`."""
        if self.retention is not None:
            self.retention.enable(whether=whether)

    def on_compacted(self, note: Callable[[int], Awaitable[None]]) -> None:
        """See `Backend`."""
        if self.retention is not None:
            self.retention.on_compacted(note)

    async def compact(self, revision: Revision, *, physical: bool = False) -> None:
        """See `Backend`."""
        try:
            _ = await self._call("KV/Compact", {"revision": revision, "physical": physical}, write=True)
        except CompactedSomewhere:
            raise Compacted(self._compact_revision or await self._compacted_at(1)) from None
        except FutureRevision:
            raise FutureRevision(self._revision) from None
        self._compact_revision = revision

    async def defragment(self) -> None:
        """See `Backend`."""
        await self._client.call_each("Maintenance/Defragment", {}, timeout_s=DEFRAGMENT_S)

    # Leases

    async def grant_lease(self, ttl_s: int, *, lease: LeaseId = NO_LEASE) -> LeaseId:
        """See `Backend`; etcd makes times below its election timeout longer."""
        if not 1 <= ttl_s <= MAX_LEASE_TTL_S:
            raise ValueError("too large lease TTL" if ttl_s > 0 else "lease TTL must be positive")
        answer = await self._call("Lease/LeaseGrant", {"TTL": ttl_s, "ID": lease}, write=True)
        return LeaseId(answer["ID"])

    async def revoke_lease(self, lease: LeaseId) -> None:
        """See `Backend`."""
        _ = await self._call("Lease/LeaseRevoke", {"ID": lease}, write=True)

    async def keep_alive(self, lease: LeaseId) -> int:
        """See `Backend`."""
        if self._closed:
            raise Closed
        async with self._client.stream("Lease/LeaseKeepAlive") as stream:
            await stream.send({"ID": lease})
            answer = await stream.receive()
            self.saw(answer["header"]["revision"])
        if not answer["TTL"]:
            raise LeaseNotFound("requested lease not found")
        return int(answer["TTL"])

    async def lease_status(self, lease: LeaseId) -> LeaseStatus | None:
        """See `Backend`."""
        answer = await self._call("Lease/LeaseTimeToLive", {"ID": lease, "keys": True})
        if answer["TTL"] < 0:
            return None
        granted_s = answer["grantedTTL"]
        remaining_s = min(granted_s, answer["TTL"] + 1)  # etcd rounds down
        return LeaseStatus(lease, granted_s, remaining_s, tuple(sorted(answer["keys"])))

    async def leases(self) -> tuple[LeaseId, ...]:
        """See `Backend`."""
        answer = await self._call("Lease/LeaseLeases", {})
        return tuple(sorted(LeaseId(status["ID"]) for status in answer["leases"]))


def _mod_is(key: bytes, revision: int) -> Compare:
    return Compare(key, CompareTarget.MOD, CompareResult.EQUAL, revision)


def _found(done: TxnResult) -> KeyValue | None:
    """Return the row that the one operation of a transaction read or deleted."""
    (result,) = done.results
    rows = getattr(result, "kvs", None) or getattr(result, "previous", None)
    return rows[0] if rows else None


if TYPE_CHECKING:

    def _is_backend(backend: EtcdBackend) -> Backend:
        return backend
