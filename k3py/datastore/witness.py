"""What revision this server has seen of a store on another machine: a database that was set back while no server ran is noticed by it.

A copy of the disk that is put back looks like the original to the database itself. The file is written when the server starts, stops,
and compacts (every five minutes when something happens), so a copy is noticed unless it is younger than that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import orjson

from k3py.datastore.interface import Revision
from k3py.util.files import write_atomically
from k3py.util.offload import offload

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.datastore.interface import Backend

log = logging.getLogger(__name__)

GAP: Final = 1_000_000_000
"""More revisions than were given out since any copy was made."""


@runtime_checkable
class _Advances(Protocol):
    async def advance(self, revision: Revision) -> None: ...


class Witness:
    """The file, for the store `name`; another name is another store, of which nothing is known yet."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._noted = 0

    async def check(self, backend: Backend) -> None:
        """Have revisions continue behind all that were seen, if the store was set back. Raises DatastoreError."""
        known = await offload(self._read)
        current = await backend.latest_revision()
        if current < known:
            seen = {"datastore": self._name, "revision": current, "known_revision": known}
            if isinstance(backend, _Advances):
                log.warning(
                    "the database was set back to an older state: revisions continue behind a gap, clients list anew",
                    extra=seen,
                )
                await backend.advance(Revision(known + GAP))
            else:
                log.error(
                    "the etcd was set back to an older state: restart all clients, or restore it with --bump-revision",
                    extra=seen,
                )
        await self.note(backend.current_revision)

    async def note(self, revision: int) -> None:
        """Write a revision down; what cannot be written is only logged."""
        if revision == self._noted:
            return
        self._noted = revision
        try:
            await offload(self._write, revision)
        except OSError as error:
            log.warning("cannot note the datastore's revision", extra={"error": str(error)})

    def _read(self) -> int:
        try:
            document = orjson.loads(self._path.read_bytes())
            return int(document["revision"]) if document["datastore"] == self._name else 0
        except (OSError, ValueError, LookupError, TypeError):
            return 0

    def _write(self, revision: int) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._path, orjson.dumps({"datastore": self._name, "revision": revision}))
