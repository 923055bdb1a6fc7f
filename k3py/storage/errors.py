"""Conditions of object storage; the apiserver turns them into ApiErrors in one function."""

from __future__ import annotations

from k3py.errors import K3pyError


class StorageError(K3pyError):
    """Root; `key` is namespace/name or name."""

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class ObjectNotFound(StorageError):
    """No object under that name."""


class ObjectExists(StorageError):
    """Create of a name that is taken."""


class PreconditionFailed(StorageError):
    """uid or resourceVersion is not the expected one."""


class RevisionExpired(StorageError):
    """The resourceVersion or continue token is too old; `next_token` continues inconsistently (api-machinery.md §1.9)."""

    def __init__(self, message: str, *, next_token: str = "") -> None:
        super().__init__(message)
        self.next_token = next_token


class RevisionTooLarge(StorageError):
    """The resourceVersion is in the future, and waiting did not help; `current` is the newest one."""

    def __init__(self, message: str, *, current: int) -> None:
        super().__init__(message)
        self.current = current


class StorageUnavailable(StorageError):
    """The datastore does not answer, or the outcome is unknown."""


class StorageFull(StorageError):
    """The datastore refuses writes for lack of space."""


class TooManyWatchers(StorageError):
    """A watcher was ended because it fell behind; it must list again."""


class StoreDropped(StorageError):
    """A watcher was ended because its kind is served no longer, or in another form."""


class BadContinueToken(StorageError):
    """The continue token of a list is none of ours (400)."""
