"""Conditions of the datastore as gRPC codes and etcd's own texts: clients compare both.

Source: etcd api/v3rpc/rpctypes/error.go, v3.6 (datastore.md §1.9).
"""

from __future__ import annotations

from typing import Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from k3py.datastore.errors import (
    Compacted,
    Corrupt,
    DatastoreError,
    FutureRevision,
    KeyNotFound,
    LeaseExists,
    LeaseNotFound,
    NoSpace,
    Unavailable,
)

_CONDITIONS: Final[tuple[tuple[type[DatastoreError], Status, str], ...]] = (
    (Compacted, Status.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"),
    (FutureRevision, Status.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"),
    (LeaseNotFound, Status.NOT_FOUND, "etcdserver: requested lease not found"),
    (LeaseExists, Status.FAILED_PRECONDITION, "etcdserver: lease already exists"),
    (KeyNotFound, Status.INVALID_ARGUMENT, "etcdserver: key not found"),
    (NoSpace, Status.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    (Corrupt, Status.DATA_LOSS, "etcdserver: corrupt cluster"),
)


def refusal(text: str, status: Status = Status.INVALID_ARGUMENT) -> GRPCError:
    """Return the error of a request that etcd refuses as "etcdserver: `text`"."""
    return GRPCError(status, f"etcdserver: {text}")


def condition(error: Exception) -> GRPCError:
    """Return what a client is told about `error`.

    Whatever is not a definite answer becomes UNAVAILABLE, which clients retry or report as unknown outcome.
    """
    for kind, status, text in _CONDITIONS:
        if isinstance(error, kind):
            return GRPCError(status, text)
    if isinstance(error, ValueError) and "lease TTL" in str(error):
        return refusal(str(error), Status.OUT_OF_RANGE)
    if isinstance(error, ValueError):
        return refusal(str(error))
    if isinstance(error, Unavailable) and "closed" in str(error):
        return refusal("server stopped", Status.UNAVAILABLE)
    if isinstance(error, Unavailable) and "too many" in str(error):
        return refusal("too many requests", Status.RESOURCE_EXHAUSTED)
    return refusal(f"request timed out: {error}", Status.UNAVAILABLE)
