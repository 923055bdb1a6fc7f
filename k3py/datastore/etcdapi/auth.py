"""The Auth service says that there are no users: client certificates decide who may connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpclib.const import Status

from k3py.datastore.etcdapi.conditions import refusal

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.store import Store
    from k3py.jsontypes import JsonObject


async def status(store: Store, request: JsonObject) -> JsonObject:
    """Answer AuthStatus: not enabled."""
    return {"header": store.header(), "enabled": False, "authRevision": 1}


async def authenticate(store: Store, request: JsonObject) -> JsonObject:
    """Refuse Authenticate, as an etcd without users does."""
    raise refusal("authentication is not enabled", Status.FAILED_PRECONDITION)
