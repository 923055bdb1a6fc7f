"""The Cluster service: one member, this server. Members cannot be changed: replication is the database's own matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.store import Store
    from k3py.jsontypes import JsonObject


async def member_list(store: Store, request: JsonObject) -> JsonObject:
    """Answer MemberList."""
    identity = store.identity
    member = {
        "ID": identity.member_id,
        "name": identity.name,
        "peerURLs": list(identity.client_urls),
        "clientURLs": list(identity.client_urls),
    }
    return {"header": store.header(), "members": [member]}
