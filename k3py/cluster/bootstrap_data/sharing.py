"""Shares bootstrap data through the datastore: the first server puts in what it made, the others take it (J-73 to J-75).

Every write is conditional on what was read, so of servers that start at once exactly one is the first.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.cluster.bootstrap_data.document import BadBootstrapData, SharedFile, decode, encode
from k3py.cluster.bootstrap_data.files import ENCRYPTION, FILES
from k3py.cluster.bootstrap_data.sealing import END, PREFIX, key_for, seal, unseal
from k3py.datastore.interface import Compare, CompareResult, CompareTarget, DeleteOp, PutOp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.cluster.bootstrap_data.files import SharedFiles
    from k3py.datastore.interface import Backend, KeyValue

log = logging.getLogger(__name__)

SKEW_S: Final = 3.0
"""How far clocks of servers may differ: within that the datastore's file is the right one."""


class ForeignBootstrapData(BadBootstrapData):
    """The datastore belongs to a cluster with another token."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in the datastore; revision 0 = nothing yet."""

    files: Mapping[str, SharedFile]
    revision: int = 0


class BootstrapStore:
    """Bootstrap data in a datastore, under one token's password."""

    def __init__(self, backend: Backend, password: str) -> None:
        """Take the datastore and the password of the server's token (not the whole token)."""
        self._backend = backend
        self._password = password

    @property
    def key(self) -> bytes:
        """Where it lies."""
        return key_for(self._password)

    async def read(self) -> Stored:
        """Return what is stored.

        Raises:
            ForeignBootstrapData: there is data, sealed by another token.
            BadBootstrapData: it cannot be read.
            Unavailable: the datastore does not answer.
        """
        found = {one.key: one for one in (await self._backend.range(PREFIX, END)).kvs}
        own, unnamed = found.get(self.key), found.get(key_for(""))
        if own is not None:
            return await asyncio.to_thread(_open, self._password, own)
        if unnamed is not None:  # of a time when there were no tokens (J-73): sealed anew below
            files = (await asyncio.to_thread(_open, "", unnamed)).files
            await self._replace(unnamed, files)
            return await self.read()
        if found:
            raise ForeignBootstrapData(
                "--token: the datastore belongs to a cluster with another token: bootstrap data was found that is sealed by a different one; give "
                "that cluster's token (its servers have it in their data dir, server/token), or name an empty datastore"
            )
        return Stored({})

    async def write(self, files: Mapping[str, SharedFile], *, expected: int) -> bool:
        """Store; False: somebody else has written since `expected` was read (0 = there was nothing).

        Raises:
            Unavailable: the datastore does not answer.
        """
        value = await asyncio.to_thread(seal, self._password, encode(files))
        unchanged = Compare(self.key, CompareTarget.MOD, CompareResult.EQUAL, expected)
        return (await self._backend.txn((unchanged,), (PutOp(self.key, value),))).succeeded

    async def move(self, password: str) -> bool:
        """Seal what is stored by another password, in one step; False: it changed meanwhile, nothing was done.

        Raises:
            BadBootstrapData: it cannot be read.
            Unavailable: the datastore does not answer.
        """
        stored = await self.read()
        value = await asyncio.to_thread(seal, password, encode(stored.files))
        unchanged = Compare(self.key, CompareTarget.MOD, CompareResult.EQUAL, stored.revision)
        done = await self._backend.txn((unchanged,), (PutOp(key_for(password), value), DeleteOp(self.key)))
        return done.succeeded

    def under(self, password: str) -> BootstrapStore:
        """Return the same datastore's data under another password."""
        return BootstrapStore(self._backend, password)

    async def _replace(self, old: KeyValue, files: Mapping[str, SharedFile]) -> None:
        value = await asyncio.to_thread(seal, self._password, encode(files))
        unchanged = Compare(old.key, CompareTarget.MOD, CompareResult.EQUAL, old.mod_revision)
        _ = await self._backend.txn((unchanged,), (PutOp(self.key, value), DeleteOp(old.key)))


async def find_keys(backend: Backend) -> frozenset[bytes]:
    """Return the keys of all bootstrap data in a datastore, of whatever token. Raises Unavailable."""
    return frozenset(one.key for one in (await backend.range(PREFIX, END, keys_only=True)).kvs)


def _open(password: str, kv: KeyValue) -> Stored:
    return Stored(decode(unseal(password, kv.value)), kv.mod_revision)


async def share(
    store: BootstrapStore, files: SharedFiles, make: Callable[[], object], *, restored: bool = False
) -> None:
    """Bring disk and datastore to the same files: call it before anything uses them.

    Args:
        store: the datastore's side.
        files: the disk's side.
        restored: the datastore was put back from a snapshot: what is stored is right, however old it is.
        make: makes the files that are still missing (blocking, run in a thread).

    Raises:
        ForeignBootstrapData: the datastore is another cluster's.
        BadBootstrapData: the sides contradict each other.
        K3pyError: a file cannot be read or written, or what `make` raises.
        Unavailable: the datastore does not answer.
    """
    before = await asyncio.to_thread(files.read)
    marked = await asyncio.to_thread(files.marked) if not restored else frozenset[str]()
    while True:
        stored = await store.read()
        taken = reconcile(before, stored.files, marked=marked, files=files, restored=restored)
        if taken:
            await asyncio.to_thread(files.keep, before.keys() & taken.keys())
            log.info("took files from the datastore", extra={"files": ", ".join(sorted(taken))})
            await asyncio.to_thread(files.write, taken)
        await asyncio.to_thread(make)
        disk = await asyncio.to_thread(files.read)
        added = {
            name: one
            for name, one in disk.items()
            if name not in stored.files or (name in marked and one.content != stored.files[name].content)
        }
        if not added or await store.write({**stored.files, **added}, expected=stored.revision):
            break
    if added:
        log.info("put files into the datastore", extra={"files": ", ".join(sorted(added))})
    if marked or restored:
        await asyncio.to_thread(files.unmark)


def reconcile(
    disk: Mapping[str, SharedFile],
    stored: Mapping[str, SharedFile],
    *,
    marked: frozenset[str],
    files: SharedFiles,
    restored: bool = False,
) -> dict[str, SharedFile]:
    """Return the stored files that the disk lacks or has in an older form.

    Raises:
        BadBootstrapData: a file of the disk is newer than the stored one, which nobody changed on purpose (`marked`): using it could cut the
            cluster in two, so a human decides. Names the files.
    """
    taken, newer = {}, []
    for name, one in stored.items():
        if name not in FILES or not one.content:
            continue
        own = disk.get(name)
        if own is None or (own.content != one.content and name not in marked):
            if (
                own is not None
                and not restored
                and name not in ENCRYPTION
                and (own.changed - one.changed).total_seconds() > SKEW_S
            ):
                newer.append(str(files.path(name)))
            taken[name] = one
    if newer:
        raise BadBootstrapData(
            f"{', '.join(newer)}: newer than in the datastore, which other servers use, and different: remove from the disk what shall be taken from the "
            "datastore, and start again"
        )
    return taken
