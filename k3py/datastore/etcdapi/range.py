"""KV.Range, alone and inside a transaction. Source: etcd server/etcdserver/txn/range.go, v3.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.datastore.etcdapi.conditions import refusal
from k3py.datastore.etcdapi.store import bounds, key_value
from k3py.datastore.interface import RangeOp

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.datastore.etcdapi.store import Store
    from k3py.datastore.interface import KeyValue, RangeResult
    from k3py.jsontypes import JsonObject

_SORT_KEYS: Final[dict[str, Callable[[KeyValue], bytes | int]]] = {
    "KEY": lambda kv: kv.key,
    "VERSION": lambda kv: kv.version,
    "CREATE": lambda kv: kv.create_revision,
    "MOD": lambda kv: kv.mod_revision,
    "VALUE": lambda kv: kv.value,
}
_ORDERS: Final = ("NONE", "ASCEND", "DESCEND")
_FILTERS: Final = ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision")


async def answer(store: Store, request: JsonObject) -> JsonObject:
    """Answer KV.Range. `serializable` reads are as fresh as the others."""
    check(request)
    op = operation(request)
    result = await store.backend.range(
        op.key,
        op.end,
        limit=op.limit,
        revision=op.revision,
        count_only=op.count_only,
        keys_only=op.keys_only,
    )
    return response(store, request, result)


def check(request: JsonObject) -> None:
    """Refuse what etcd refuses. Raises GRPCError."""
    if not request["key"]:
        raise refusal("key is not provided")
    if request["sort_order"] not in _ORDERS or request["sort_target"] not in _SORT_KEYS:
        raise refusal("invalid sort option")


def operation(request: JsonObject) -> RangeOp:
    """Return the read that `response` needs: all rows if it sorts or filters them."""
    key, end = bounds(request)
    everything = request["sort_order"] != "NONE" or any(request[name] for name in _FILTERS)
    limit = max(0, request["limit"])
    if limit and request["sort_target"] != "KEY":
        limit += 1  # etcd sorts one row more than it gives, if it sorts by a target without an order
    return RangeOp(
        key,
        end,
        limit=0 if everything else limit,
        revision=max(0, request["revision"]),
        count_only=request["count_only"],
        keys_only=request["keys_only"] and request["sort_target"] != "VALUE",
    )


def response(
    store: Store, request: JsonObject, result: RangeResult, revision: int | None = None
) -> JsonObject:
    """Return the answer to `request` from the rows of its `operation`; `revision` of its header if not the result's."""
    rows = list(result.kvs)
    for bound, revision_of in (
        ("mod_revision", _SORT_KEYS["MOD"]),
        ("create_revision", _SORT_KEYS["CREATE"]),
    ):
        if highest := request[f"max_{bound}"]:
            rows = [kv for kv in rows if revision_of(kv) <= highest]
        if lowest := request[f"min_{bound}"]:
            rows = [kv for kv in rows if revision_of(kv) >= lowest]
    order, target, limit = request["sort_order"], request["sort_target"], request["limit"]
    if order == "DESCEND" or target != "KEY":
        rows.sort(key=_SORT_KEYS[target], reverse=order == "DESCEND")
    more = limit > 0 and not request["count_only"] and (len(rows) > limit or result.more)
    if limit > 0:
        del rows[limit:]
    keep_values = not request["keys_only"]
    return {
        "header": store.header(result.revision if revision is None else revision),
        "kvs": [key_value(kv, value=keep_values) for kv in rows],
        "more": more,
        "count": result.count,
    }
