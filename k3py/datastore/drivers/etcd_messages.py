"""The records of the seam as etcd's messages and back, for the driver `etcd`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.datastore.interface import (
    Compare,
    CompareTarget,
    DeleteOp,
    DeleteResult,
    Event,
    EventType,
    KeyValue,
    LeaseId,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    Revision,
    TxnOp,
    TxnResult,
)

if TYPE_CHECKING:
    from k3py.datastore.interface import Op, OpResult
    from k3py.jsontypes import JsonObject

_OPERANDS = {
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE: "create_revision",
    CompareTarget.MOD: "mod_revision",
    CompareTarget.VALUE: "value",
    CompareTarget.LEASE: "lease",
}


def bounds_document(start: bytes, end: bytes | None) -> JsonObject:
    """Return the fields that name a range; no key is empty in etcd."""
    return {"key": start or b"\0", "range_end": end or b""}


def range_document(op: RangeOp) -> JsonObject:
    """Return a RangeRequest."""
    return {
        **bounds_document(op.key, op.end),
        "limit": op.limit,
        "revision": op.revision,
        "count_only": op.count_only,
        "keys_only": op.keys_only,
    }


def compare_document(compare: Compare) -> JsonObject:
    """Return a Compare. Raises TypeError if the operand does not fit."""
    if isinstance(compare.operand, bytes) != (compare.target is CompareTarget.VALUE):
        raise TypeError(f"operand of a {compare.target.name} comparison is of the wrong type")
    return {
        **bounds_document(compare.key, compare.end),
        "target": compare.target.name,
        "result": compare.result.name,
        _OPERANDS[compare.target]: compare.operand,
    }


def op_document(op: Op) -> JsonObject:
    """Return a RequestOp."""
    if isinstance(op, RangeOp):
        return {"request_range": range_document(op)}
    if isinstance(op, DeleteOp):
        return {"request_delete_range": {**bounds_document(op.key, op.end), "prev_kv": True}}
    if isinstance(op, TxnOp):
        return {
            "request_txn": {
                "compare": [compare_document(compare) for compare in op.compares],
                "success": [op_document(inner) for inner in op.success],
                "failure": [op_document(inner) for inner in op.failure],
            }
        }
    return {
        "request_put": {
            "key": op.key,
            "value": b"" if op.ignore_value else op.value,
            "lease": 0 if op.ignore_lease else op.lease,
            "prev_kv": True,
            "ignore_value": op.ignore_value,
            "ignore_lease": op.ignore_lease,
        }
    }


def op_result(op: Op, response: JsonObject, revision: Revision) -> OpResult:
    """Read a ResponseOp; `revision` is that of the whole transaction."""
    if isinstance(op, RangeOp):
        return range_result(response["response_range"], revision)
    if isinstance(op, PutOp):
        previous = response["response_put"].get("prev_kv")
        return PutResult(None if previous is None else key_value(previous))
    if isinstance(op, DeleteOp):
        rows = response["response_delete_range"]["prev_kvs"]
        return DeleteResult(tuple([key_value(row) for row in rows]))
    inner = response["response_txn"]
    ops = op.success if inner["succeeded"] else op.failure
    results = [op_result(one, done, revision) for one, done in zip(ops, inner["responses"], strict=True)]
    return TxnResult(inner["succeeded"], tuple(results), revision)


def range_result(response: JsonObject, revision: Revision | None = None) -> RangeResult:
    """Read a RangeResponse; `revision` instead of that of its header, which one in a transaction need not have."""
    rows = tuple([key_value(row) for row in response["kvs"]])
    return RangeResult(rows, response["count"], revision or Revision(response["header"]["revision"]))


def key_value(row: JsonObject) -> KeyValue:
    """Read a mvccpb.KeyValue."""
    return KeyValue(
        row["key"],
        row["value"],
        Revision(row["create_revision"]),
        Revision(row["mod_revision"]),
        row["version"],
        LeaseId(row["lease"]),
    )


def event(message: JsonObject) -> Event:
    """Read a mvccpb.Event."""
    previous = message.get("prev_kv")
    kind = EventType.DELETE if message["type"] == "DELETE" else EventType.PUT
    return Event(kind, key_value(message["kv"]), None if previous is None else key_value(previous))
