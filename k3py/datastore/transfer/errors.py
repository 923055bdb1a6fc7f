"""Conditions of moving a store."""

from __future__ import annotations

from k3py.datastore.errors import DatastoreError


class TransferError(DatastoreError):
    """What was read is not what was written, or cannot be read; the message says what to do."""


class NotEmpty(DatastoreError):
    """The target holds keys already; names it."""
