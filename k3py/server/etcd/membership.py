"""The members of the cluster: asking for them and changing them, through any member that answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import Unavailable
from k3py.datastore.etcdapi.client import EtcdClient
from k3py.datastore.etcdapi.endpoints import client_context, parse_etcd_endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.server.etcd.layout import EtcdLayout

_GONE: Final = "member not found"


@dataclass(frozen=True, slots=True)
class Member:
    """One member; `name` is "" until it has started for the first time."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool

    @classmethod
    def read(cls, found: JsonObject) -> Member:
        """Take it from an answer of etcd or of /db/info. Raises LookupError, ValueError."""
        return cls(
            int(found["ID"]),
            str(found.get("name") or ""),
            tuple(found.get("peerURLs") or ()),
            tuple(found.get("clientURLs") or ()),
            bool(found.get("isLearner")),
        )

    def document(self) -> JsonObject:
        """Return it as etcd's own JSON shows it (J-36)."""
        shown: JsonObject = {
            "ID": self.id,
            "name": self.name,
            "peerURLs": list(self.peer_urls),
            "clientURLs": list(self.client_urls),
        }
        if self.is_learner:
            shown["isLearner"] = True
        return shown


class Membership:
    """Calls of etcd's Cluster service. Every method raises Unavailable when no member answers or the cluster refuses for now."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client

    async def members(self) -> list[Member]:
        """Return all members, as the majority knows them."""
        answer = await self._client.call("Cluster/MemberList", {"linearizable": True})
        return [Member.read(one) for one in answer["members"]]

    async def add_learner(self, peer_url: str) -> Member:
        """Add a member without a vote.

        Raises:
            ValueError: there is one of this URL already.
        """
        request = {"peerURLs": [peer_url], "isLearner": True}
        return Member.read((await self._client.call("Cluster/MemberAdd", request, write=True))["member"])

    async def promote(self, member_id: int) -> bool:
        """Give a learner its vote; False: it has not caught up yet."""
        try:
            await self._client.call("Cluster/MemberPromote", {"ID": member_id}, write=True)
        except Unavailable as error:
            text = str(error)
            if "in sync with leader" in text:
                return False
            if "not a learner" in text:  # an earlier call, whose answer was lost
                return True
            raise
        return True

    async def remove(self, member_id: int) -> None:
        """Remove a member; one that is not there is removed already."""
        try:
            await self._client.call("Cluster/MemberRemove", {"ID": member_id}, write=True)
        except Unavailable as error:
            if _GONE not in str(error):
                raise

    async def set_peer_url(self, member_id: int, peer_url: str) -> None:
        """Tell the others the new address of a member."""
        await self._client.call("Cluster/MemberUpdate", {"ID": member_id, "peerURLs": [peer_url]}, write=True)

    async def status(self) -> JsonObject:
        """Return the status of the member that answers."""
        return await self._client.call("Maintenance/Status", {})

    async def check_serving(self) -> None:
        """Return if a majority and a member with a vote answer a read. Raises Unavailable."""
        await self._client.call("KV/Range", {"key": b"\0", "count_only": True, "limit": 1})

    async def alarms(self) -> list[JsonObject]:
        """Return the alarms of all members."""
        answer = await self._client.call("Maintenance/Alarm", {"action": "GET"})
        return list(answer["alarms"])

    async def end_alarm(self, alarm: JsonObject) -> None:
        """Take an alarm back; etcd raises it again if its reason is still there."""
        await self._client.call("Maintenance/Alarm", {**alarm, "action": "DEACTIVATE"}, write=True)

    async def defragment(self, *, timeout_s: float) -> None:
        """Give free space of the members that this was opened for back to the file system."""
        await self._client.call_each("Maintenance/Defragment", {}, timeout_s=timeout_s)


@asynccontextmanager
async def open_membership(layout: EtcdLayout, endpoints: Sequence[str] = ()) -> AsyncIterator[Membership]:
    """Ask this server's own member, or those at `endpoints` (client URLs).

    Raises:
        ConfigError: a certificate cannot be used, or an endpoint is no URL.
    """
    files = layout.tls_files
    context = client_context(files.ca, files.certificate, files.key)
    _, addresses = parse_etcd_endpoints(",".join(endpoints or (layout.endpoint,)))
    client = EtcdClient(addresses, context)
    try:
        yield Membership(client)
    finally:
        await client.close()
