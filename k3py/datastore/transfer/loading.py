"""Fills an empty store from a source; what is interrupted stays marked, and `open_backend` refuses it.

The new store's revisions begin `MARGIN` above the source's: a client of the old store that shows an old resourceVersion is told to
read again, and never hits by chance an object that has got the same revision with other content ([253]; etcdutl's --bump-revision
recommends the same margin).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from k3py.datastore.etcdapi.revision_offset import KEY as OFFSET_KEY
from k3py.datastore.factory import INCOMPLETE_KEY
from k3py.datastore.interface import NO_LEASE, DeleteOp, LeaseId, Revision
from k3py.datastore.mvcc.keyrange import UNBOUNDED
from k3py.datastore.transfer.digest import Digest
from k3py.datastore.transfer.errors import NotEmpty, TransferError
from k3py.datastore.transfer.source import read_backend
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.datastore.interface import Backend, KeyValue
    from k3py.datastore.transfer.source import Source

MARGIN = 1_000_000_000
WRITES_AT_ONCE = 128


@runtime_checkable
class _Advances(Protocol):
    async def advance(self, revision: Revision) -> None: ...


@runtime_checkable
class _BeginsBehind(Protocol):
    async def begin_behind(self, revision: Revision) -> None: ...


async def load(source: Source, target: Backend, *, name: str, again: bool = False) -> Digest:
    """Write all of `source` into the empty store `target`, read it back and compare count and hash.

    Args:
        source: where the keys come from.
        target: opened with `open_backend(…, incomplete=True)`.
        name: of the target, for messages; without credentials.
        again: first remove what an interrupted earlier run left behind; never anything else.

    Raises:
        NotEmpty: the target holds something else than remains.
        TransferError: what is in the target is not what the source held; it stays marked as incomplete.
        DatastoreError: source or target fail.
    """
    await _claim(target, name, again=again)
    floor = source.info.revision + MARGIN
    if isinstance(target, _Advances) and target.current_revision < floor:
        await target.advance(Revision(floor))
    elif isinstance(target, _BeginsBehind) and target.current_revision < floor:
        await target.begin_behind(Revision(floor))
    leases: dict[int, LeaseId] = {0: NO_LEASE}
    wanted = Digest()
    async for page in source.pages():
        wanted.add_all(page)
        for kv in page:
            if kv.lease not in leases:
                leases[kv.lease] = await target.grant_lease(max(1, source.info.leases.get(kv.lease, 3600)))
        for at in range(0, len(page), WRITES_AT_ONCE):
            await _create_all(target, page[at : at + WRITES_AT_ONCE], leases, name)
    found = await digest_of(target)
    if found != wanted:
        raise TransferError(
            f"{name} now holds {found.count} keys, hash {found.hex}, but should hold {wanted.count}, hash {wanted.hex}: "
            "somebody else writes to it, or it does not keep what it is given"
        )
    mark = (await target.range(INCOMPLETE_KEY)).kvs
    if mark:
        await target.delete(INCOMPLETE_KEY, expected=mark[0].mod_revision)
    await target.compact(target.current_revision)
    return wanted


async def digest_of(backend: Backend) -> Digest:
    """Read a store once and return its digest; the mark of an unfinished import does not count."""
    digest = Digest()
    async for page in (await read_backend(backend)).pages():
        digest.add_all(kv for kv in page if kv.key != INCOMPLETE_KEY)
    return digest


async def _claim(target: Backend, name: str, *, again: bool) -> None:
    held = await target.range(b"\0", UNBOUNDED, limit=1, keys_only=True)
    if held.kvs:
        mark = await target.range(INCOMPLETE_KEY)
        if not mark.kvs:
            raise NotEmpty(
                f"{name} is not empty: it holds {held.count} keys, the first is {held.kvs[0].key.decode(errors='replace')!r}; "
                "nothing was changed. Name an empty store"
            )
        if not again:
            raise NotEmpty(
                f"{name} holds {held.count} keys of an import that did not finish; --force removes them and starts again"
            )
        await _clear(target)
    if await target.create(INCOMPLETE_KEY, b"see `k3py datastore import`") is None and not again:
        raise NotEmpty(f"{name}: another import into it has just begun")


async def _clear(target: Backend) -> None:
    """Delete all keys but the mark, in pages."""
    start = b"\0"
    while True:
        page = await target.range(start, UNBOUNDED, limit=500, keys_only=True)
        keys = [kv.key for kv in page.kvs if kv.key not in (INCOMPLETE_KEY, OFFSET_KEY)]
        for at in range(0, len(keys), WRITES_AT_ONCE // 2):
            await target.txn((), tuple(DeleteOp(key) for key in keys[at : at + WRITES_AT_ONCE // 2]))
        if not page.more:
            return
        start = page.kvs[-1].key + b"\0"


async def _create_all(
    target: Backend, kvs: Sequence[KeyValue], leases: dict[int, LeaseId], name: str
) -> None:
    async with TaskScope() as scope:
        writes = [
            scope.spawn(target.create(kv.key, kv.value, lease=leases[kv.lease]), name="import") for kv in kvs
        ]
    for kv, write in zip(kvs, writes, strict=True):
        if write.result() is None:
            raise NotEmpty(f"{name}: somebody else wrote {kv.key.decode(errors='replace')!r} in the meantime")
