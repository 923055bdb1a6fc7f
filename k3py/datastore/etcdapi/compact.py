"""KV.Compact. Source: etcd server/etcdserver/v3_server.go, v3.6 (datastore.md §1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.datastore.interface import Revision

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.store import Store
    from k3py.jsontypes import JsonObject


async def answer(store: Store, request: JsonObject) -> JsonObject:
    """Answer KV.Compact; `physical` waits until the space is free."""
    await store.backend.compact(Revision(request["revision"]), physical=request["physical"])
    return {"header": store.header()}
