"""Conditions of snapshots."""

from __future__ import annotations

from k3py.datastore.errors import DatastoreError


class SnapshotError(DatastoreError):
    """A snapshot cannot be made, found or used; the message names it and what to do."""
