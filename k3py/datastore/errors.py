"""Conditions of the datastore, whatever the driver."""

from __future__ import annotations

from k3py.errors import K3pyError


class DatastoreError(K3pyError):
    """Root of the datastore's conditions."""


class Compacted(DatastoreError):
    """The asked-for revision lies below the compaction line; `compact_revision` is the first readable one."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__("mvcc: required revision has been compacted")
        self.compact_revision = compact_revision


class FutureRevision(DatastoreError):
    """The asked-for revision is higher than the current one, `current`."""

    def __init__(self, current: int) -> None:
        super().__init__("mvcc: required revision is a future revision")
        self.current = current


class LeaseNotFound(DatastoreError):
    """No such lease."""


class LeaseExists(DatastoreError):
    """A lease of this number lives already."""


class KeyNotFound(DatastoreError):
    """A write shall keep what a key has, and there is no such key."""


class Unavailable(DatastoreError):
    """The store cannot answer now, or the outcome of a write is unknown; the caller may retry."""


class Closed(Unavailable):
    """The store was closed here; it will not come back."""

    def __init__(self) -> None:
        super().__init__("the store is closed")


class NoSpace(DatastoreError):
    """The disk or quota is full: reads go on, writes are refused."""


class Corrupt(DatastoreError):
    """The database file is damaged; the message names the file and what to do."""


class Locked(DatastoreError):
    """Another process owns this database; the message names it."""


class Incomplete(DatastoreError):
    """The store holds an import that did not finish; the message names it and what to do."""
