"""KV.Put, alone and inside a transaction. Source: etcd server/etcdserver/txn/put.go, v3.6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.datastore.etcdapi.conditions import refusal
from k3py.datastore.etcdapi.store import key_value
from k3py.datastore.interface import LeaseId, PutOp, PutResult

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.store import Store
    from k3py.jsontypes import JsonObject


async def answer(store: Store, request: JsonObject) -> JsonObject:
    """Answer KV.Put: an unconditional write."""
    check(request)
    done = await store.backend.txn((), (operation(request),))
    (result,) = done.results
    if not isinstance(result, PutResult):
        raise TypeError(f"a PutOp gave {type(result).__name__}")
    return response(store, request, result, done.revision)


def check(request: JsonObject) -> None:
    """Refuse what etcd refuses. Raises GRPCError."""
    if not request["key"]:
        raise refusal("key is not provided")
    if request["ignore_value"] and request["value"]:
        raise refusal("value is provided")
    if request["ignore_lease"] and request["lease"]:
        raise refusal("lease is provided")


def operation(request: JsonObject) -> PutOp:
    """Return the write."""
    return PutOp(
        request["key"],
        request["value"],
        LeaseId(request["lease"]),
        ignore_value=request["ignore_value"],
        ignore_lease=request["ignore_lease"],
    )


def response(store: Store, request: JsonObject, result: PutResult, revision: int) -> JsonObject:
    """Return the answer to `request`."""
    answer_: JsonObject = {"header": store.header(revision)}
    if request["prev_kv"] and result.previous is not None:
        answer_["prev_kv"] = key_value(result.previous)
    return answer_
