"""What an operator asks of a store, the same in the process that has it open and in a command that opens it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import Compacted
from k3py.datastore.interface import Revision

if TYPE_CHECKING:
    from k3py.datastore.interface import Backend

OPERATIONS: Final = ("status", "check", "compact", "defrag")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the store stands afterwards; `before_bytes` its size before; of a check also the number of keys and their digest."""

    driver: str
    revision: int
    compact_revision: int
    size_bytes: int
    size_in_use_bytes: int
    before_bytes: int
    keys: int = 0
    digest: str = ""


async def operate(backend: Backend, operation: str, revision: int = 0) -> Outcome:
    """Do one of `OPERATIONS`; `revision`: the first one that a compaction leaves, 0: the newest alone.

    Raises:
        DatastoreError: it cannot be done.
        ValueError: there is no such operation.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"unknown operation {operation!r}")
    before = await backend.status()
    keys, digest = 0, ""
    if operation == "check":
        from k3py.datastore.transfer.loading import digest_of  # noqa: PLC0415 - servers hardly ever need it

        found = await digest_of(backend)
        keys, digest = found.count, found.hex
    elif operation == "compact":
        try:
            await backend.compact(Revision(revision or await backend.latest_revision()), physical=True)
        except Compacted:
            if revision:  # "all" that is compacted already is no error
                raise
    elif operation == "defrag":
        await backend.defragment()
    after = await backend.status()
    return Outcome(
        after.driver,
        after.revision,
        after.compact_revision,
        after.size_bytes,
        after.size_in_use_bytes,
        before.size_bytes,
        keys,
        digest,
    )
