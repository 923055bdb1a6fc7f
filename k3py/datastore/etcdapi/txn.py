"""KV.Txn: any comparisons, any operations, transactions inside.

Source: etcd server/etcdserver/api/v3rpc/key.go (checks), server/etcdserver/txn/txn.go, v3.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.datastore.etcdapi import delete_range, put
from k3py.datastore.etcdapi import range as range_
from k3py.datastore.etcdapi.conditions import refusal
from k3py.datastore.etcdapi.store import bounds
from k3py.datastore.interface import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteResult,
    PutResult,
    RangeResult,
    TxnOp,
    TxnResult,
)
from k3py.datastore.mvcc.keyrange import contains

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.datastore.etcdapi.store import Store
    from k3py.datastore.interface import Op, OpResult
    from k3py.jsontypes import JsonObject

MAX_OPERATIONS: Final = 128
_OPERANDS: Final = {
    "VERSION": "version",
    "CREATE": "create_revision",
    "MOD": "mod_revision",
    "VALUE": "value",
    "LEASE": "lease",
}
Bounds = tuple[bytes, bytes | None]


async def answer(store: Store, request: JsonObject) -> JsonObject:
    """Answer KV.Txn."""
    _check(request)
    for branch in ("success", "failure"):
        _check_overlaps(request[branch])
    op = _operation(request)
    result = await store.backend.txn(op.compares, op.success, op.failure)
    return {**_response(store, request, result, result.revision), "header": store.header(result.revision)}


def _check(request: JsonObject) -> None:
    if max(len(request[name]) for name in ("compare", "success", "failure")) > MAX_OPERATIONS:
        raise refusal("too many operations in txn request")
    for compare in request["compare"]:
        if not compare["key"]:
            raise refusal("key is not provided")
    for op in (*request["success"], *request["failure"]):
        if (inner := op.get("request_range")) is not None:
            range_.check(inner)
        elif (inner := op.get("request_put")) is not None:
            put.check(inner)
        elif (inner := op.get("request_delete_range")) is not None:
            delete_range.check(inner)
        elif (inner := op.get("request_txn")) is not None:
            _check(inner)
        else:
            raise refusal("key not found")


def _check_overlaps(ops: Sequence[JsonObject]) -> tuple[set[bytes], list[Bounds]]:
    """Refuse a branch that may change a key twice; return the keys it puts and the ranges it deletes.

    The two branches of a transaction exclude each other, so they may put the same key.
    """
    puts: set[bytes] = set()
    deletes = [bounds(op["request_delete_range"]) for op in ops if "request_delete_range" in op]
    for op in ops:
        if (inner := op.get("request_txn")) is None:
            continue
        then_puts, then_deletes = _check_overlaps(inner["success"])
        else_puts, else_deletes = _check_overlaps(inner["failure"])
        _refuse_twice(then_puts | else_puts, puts, deletes)
        puts |= then_puts | else_puts
        deletes += then_deletes + else_deletes
    for op in ops:
        if (inner := op.get("request_put")) is not None:
            _refuse_twice((inner["key"],), puts, deletes)
            puts.add(inner["key"])
    return puts, deletes


def _refuse_twice(keys: Iterable[bytes], puts: set[bytes], deletes: Sequence[Bounds]) -> None:
    for key in keys:
        if key in puts or any(contains(start, end, key) for start, end in deletes):
            raise refusal("duplicate key given in txn request")


def _operation(request: JsonObject) -> TxnOp:
    return TxnOp(
        tuple([_compare(compare) for compare in request["compare"]]),
        tuple([_op(op) for op in request["success"]]),
        tuple([_op(op) for op in request["failure"]]),
    )


def _compare(compare: JsonObject) -> Compare:
    key, end = bounds(compare)
    if compare["target"] not in _OPERANDS or compare["result"] not in CompareResult.__members__:
        raise refusal("unknown comparison in txn request")
    target = CompareTarget[compare["target"]]
    operand = compare.get(_OPERANDS[target.name], b"" if target is CompareTarget.VALUE else 0)
    return Compare(key, target, CompareResult[compare["result"]], operand, end)


def _op(op: JsonObject) -> Op:
    if (inner := op.get("request_range")) is not None:
        return range_.operation(inner)
    if (inner := op.get("request_put")) is not None:
        return put.operation(inner)
    if (inner := op.get("request_delete_range")) is not None:
        return delete_range.operation(inner)
    return _operation(op["request_txn"])


def _response(store: Store, request: JsonObject, result: TxnResult, revision: int) -> JsonObject:
    ops = request["success" if result.succeeded else "failure"]
    pairs = zip(ops, result.results, strict=True)
    responses = [_op_response(store, op, done, revision) for op, done in pairs]
    return {"header": {}, "succeeded": result.succeeded, "responses": responses}


def _op_response(store: Store, op: JsonObject, result: OpResult, revision: int) -> JsonObject:
    if isinstance(result, RangeResult):
        return {"response_range": range_.response(store, op["request_range"], result)}
    if isinstance(result, PutResult):
        return {"response_put": put.response(store, op["request_put"], result, revision)}
    if isinstance(result, DeleteResult):
        inner = delete_range.response(store, op["request_delete_range"], result, revision)
        return {"response_delete_range": inner}
    return {"response_txn": _response(store, op["request_txn"], result, revision)}
