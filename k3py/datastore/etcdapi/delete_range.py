"""KV.DeleteRange, alone and inside a transaction. Source: etcd server/etcdserver/txn/delete.go, v3.6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.datastore.etcdapi.conditions import refusal
from k3py.datastore.etcdapi.store import bounds, key_value
from k3py.datastore.interface import DeleteOp, DeleteResult

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.store import Store
    from k3py.jsontypes import JsonObject


async def answer(store: Store, request: JsonObject) -> JsonObject:
    """Answer KV.DeleteRange: all keys go in one revision; none there: no revision is used."""
    check(request)
    done = await store.backend.txn((), (operation(request),))
    (result,) = done.results
    if not isinstance(result, DeleteResult):
        raise TypeError(f"a DeleteOp gave {type(result).__name__}")
    return response(store, request, result, done.revision)


def check(request: JsonObject) -> None:
    """Refuse what etcd refuses. Raises GRPCError."""
    if not request["key"]:
        raise refusal("key is not provided")


def operation(request: JsonObject) -> DeleteOp:
    """Return the delete."""
    return DeleteOp(*bounds(request))


def response(store: Store, request: JsonObject, result: DeleteResult, revision: int) -> JsonObject:
    """Return the answer to `request`."""
    return {
        "header": store.header(revision),
        "deleted": len(result.previous),
        "prev_kvs": [key_value(kv) for kv in result.previous] if request["prev_kv"] else [],
    }
