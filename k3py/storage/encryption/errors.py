"""What can go wrong with sealed documents."""

from __future__ import annotations

from k3py.storage.errors import StorageError


class SealBroken(StorageError):
    """A stored document cannot be opened: its key is not known, or it was changed."""
