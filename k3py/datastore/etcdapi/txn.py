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
    response = _response(store, request, result, _Revisions(result))
    return {**response, "header": store.header(result.revision)}


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


class _Revisions:
    """What the header of each operation's answer says: the old revision until an operation has changed something."""

    def __init__(self, result: TxnResult) -> None:
        self._after = result.revision
        self.now = result.revision - 1 if _writes(result) else result.revision

    def saw(self, result: OpResult) -> int:
        """Take note of an operation; return the revision that its header tells."""
        if isinstance(result, PutResult) or (isinstance(result, DeleteResult) and result.previous):
            self.now = self._after
        return self.now


def _writes(result: OpResult) -> bool:
    if isinstance(result, TxnResult):
        return any(_writes(one) for one in result.results)
    return isinstance(result, PutResult) or (isinstance(result, DeleteResult) and bool(result.previous))


def _response(store: Store, request: JsonObject, result: TxnResult, revisions: _Revisions) -> JsonObject:
    ops = request["success" if result.succeeded else "failure"]
    pairs = zip(ops, result.results, strict=True)
    responses = [_op_response(store, op, done, revisions) for op, done in pairs]
    return {"header": {}, "succeeded": result.succeeded, "responses": responses}


def _op_response(store: Store, op: JsonObject, result: OpResult, revisions: _Revisions) -> JsonObject:
    if isinstance(result, RangeResult):
        return {"response_range": range_.response(store, op["request_range"], result, revisions.now)}
    if isinstance(result, TxnResult):
        return {"response_txn": _response(store, op["request_txn"], result, revisions)}
    revision = revisions.saw(result)
    if isinstance(result, PutResult):
        return {"response_put": put.response(store, op["request_put"], result, revision)}
    inner = delete_range.response(store, op["request_delete_range"], result, revision)
    return {"response_delete_range": inner}
