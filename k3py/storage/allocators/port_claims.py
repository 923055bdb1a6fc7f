"""Which Service has which node port, where several servers give ports out of one range: a key for each in the datastore, made on condition that there is none.

A server that is killed between claim and Service leaves a claim that nobody means; who meets it for a minute, and finds that its Service has not got the port, takes it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError, NoSpace
from k3py.datastore.interface import DeleteOp
from k3py.storage.allocators.service_fields import node_ports_of
from k3py.storage.errors import ObjectNotFound, StorageFull, StorageUnavailable
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from k3py.datastore.interface import Backend, KeyValue
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Store

PREFIX: Final = b"/registry/k3py/nodeports/"
_END: Final = b"/registry/k3py/nodeports0"
SETTLED_S: Final = 60.0
"""After so long a claim whose Service does not have the port is a dead server's."""


class PortClaims:
    """Claims in `backend` for Services in `services`."""

    def __init__(self, backend: Backend, services: Store) -> None:
        self._backend = backend
        self._services = services
        self._idle: dict[
            int, tuple[int, float]
        ] = {}  # port → revision of a claim without use, and since when we know

    async def claim(self, port: int, service: JsonObject) -> bool:
        """Take a port for a Service; False: it is claimed already. Raises StorageError."""
        metadata = service["metadata"]
        value = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}".encode()
        with _told():
            if await self._backend.create(_key(port), value) is not None:
                return True
            found = (await self._backend.range(_key(port))).kvs
            if not found or not await self._is_idle(port, found[0]):
                return False
            revision, _ = await self._backend.update(_key(port), value, expected=found[0].mod_revision)
            return revision is not None

    async def _is_idle(self, port: int, claim: KeyValue) -> bool:
        namespace, _, name = claim.value.decode(errors="replace").partition("/")
        try:
            view = await self._services.get(namespace, name)
        except ObjectNotFound:
            ports: list[int] = []
        else:
            ports = node_ports_of(view.parsed)
        if port in ports:
            self._idle.pop(port, None)
            return False
        known = self._idle.get(port)
        if known is None or known[0] != claim.mod_revision:
            self._idle[port] = (claim.mod_revision, clock.monotonic_s())
            return False
        return clock.monotonic_s() - known[1] >= SETTLED_S

    async def release(self, port: int) -> None:
        """Give a port back. Raises StorageError."""
        with _told():
            _ = await self._backend.txn((), (DeleteOp(_key(port)),))

    async def taken(self) -> list[int]:
        """Return all claimed ports. Raises StorageError."""
        with _told():
            found = await self._backend.range(PREFIX, _END, keys_only=True)
        return [int(one.key.removeprefix(PREFIX)) for one in found.kvs]

    async def repair(self, held: Mapping[int, JsonObject]) -> None:
        """Make the claims that are missing for ports that Services have: of a time when there were none. Raises StorageError."""
        taken = frozenset(await self.taken())
        for port, service in held.items():
            if port not in taken:
                await self.claim(port, service)


@contextmanager
def _told() -> Iterator[None]:
    """Tell the datastore's conditions as storage does."""
    try:
        yield
    except NoSpace as error:
        raise StorageFull(str(error)) from error
    except DatastoreError as error:
        raise StorageUnavailable(f"the datastore does not answer: {error}") from error


def _key(port: int) -> bytes:
    return PREFIX + b"%d" % port
