"""The Lease service. Source: etcd server/lease/lessor.go, server/etcdserver/api/v3rpc/lease.go, v3.6 (datastore.md §1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError, LeaseNotFound
from k3py.datastore.etcdapi.conditions import condition
from k3py.datastore.interface import LeaseId

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.server import DocumentStream
    from k3py.datastore.etcdapi.store import Store
    from k3py.jsontypes import JsonObject

MIN_TTL_S: Final = 2
"""Shorter ones are made so long, as etcd does with its default election timeout."""


async def grant(store: Store, request: JsonObject) -> JsonObject:
    """Answer LeaseGrant."""
    ttl_s = max(MIN_TTL_S, request["TTL"])
    lease = await store.backend.grant_lease(ttl_s, lease=LeaseId(request["ID"]))
    return {"header": store.header(), "ID": lease, "TTL": ttl_s}


async def revoke(store: Store, request: JsonObject) -> JsonObject:
    """Answer LeaseRevoke."""
    await store.backend.revoke_lease(LeaseId(request["ID"]))
    return {"header": store.header()}


async def time_to_live(store: Store, request: JsonObject) -> JsonObject:
    """Answer LeaseTimeToLive; TTL -1 says that there is no such lease."""
    lease = LeaseId(request["ID"])
    status = await store.backend.lease_status(lease)
    if status is None:
        return {"header": store.header(), "ID": lease, "TTL": -1}
    return {
        "header": store.header(),
        "ID": lease,
        "TTL": int(status.remaining_s),
        "grantedTTL": status.granted_ttl_s,
        "keys": list(status.keys) if request["keys"] else [],
    }


async def leases(store: Store, request: JsonObject) -> JsonObject:
    """Answer LeaseLeases."""
    return {"header": store.header(), "leases": [{"ID": lease} for lease in await store.backend.leases()]}


async def keep_alive(store: Store, stream: DocumentStream) -> None:
    """Serve LeaseKeepAlive: an answer for each request; TTL 0 says that there is no such lease."""
    async for request in stream:
        lease = LeaseId(request["ID"])
        try:
            ttl_s = await store.backend.keep_alive(lease)
        except LeaseNotFound:
            ttl_s = 0
        except DatastoreError as error:
            raise condition(error) from None
        await stream.send_message({"header": store.header(), "ID": lease, "TTL": ttl_s})
