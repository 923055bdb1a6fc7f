"""What is done to a member each time it has started: space, alarms, its address."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError
from k3py.server.etcd.membership import open_membership

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.server.etcd.layout import EtcdLayout
    from k3py.server.etcd.membership import Membership

log = logging.getLogger(__name__)

LEAST_FREE_BYTES: Final = 8 << 20
LEAST_FREE_SHARE: Final = 0.25
DEFRAGMENT_S: Final = 600.0
_NO_SPACE: Final = "NOSPACE"


def is_worth_it(size_bytes: int, in_use_bytes: int) -> bool:
    """Say whether a database is to be defragmented: not for a little, as that writes all of it anew."""
    free = size_bytes - in_use_bytes
    return free >= LEAST_FREE_BYTES and free >= LEAST_FREE_SHARE * size_bytes


async def tend(layout: EtcdLayout, peer_url: str) -> None:
    """Defragment, take back an alarm of no space, follow a changed address; what fails is logged, the member serves all the same."""
    async with open_membership(layout) as membership:
        try:
            status = await membership.status()
            await _free_space(membership, status)
            await _follow_address(membership, status["header"]["member_id"], peer_url)
        except (DatastoreError, ValueError) as error:
            log.warning("etcd could not be tended to at its start", extra={"error": str(error)})


async def _free_space(membership: Membership, status: JsonObject) -> None:
    own = [one for one in await membership.alarms() if one["memberID"] == status["header"]["member_id"]]
    full = [one for one in own if one["alarm"] == _NO_SPACE]
    if full or is_worth_it(status["dbSize"], status["dbSizeInUse"]):
        await membership.defragment(timeout_s=DEFRAGMENT_S)
        after = await membership.status()
        log.info(
            "defragmented etcd",
            extra={"bytes_before": status["dbSize"], "bytes_after": after["dbSize"]},
        )
    for alarm in full:
        await membership.end_alarm(alarm)
        log.info("took etcd's alarm of no space back")


async def _follow_address(membership: Membership, member_id: int, peer_url: str) -> None:
    own = next((one for one in await membership.members() if one.id == member_id), None)
    if own is not None and own.peer_urls != (peer_url,):
        await membership.set_peer_url(member_id, peer_url)
        log.info(
            "told the other members of this server's address",
            extra={"old": ",".join(own.peer_urls), "new": peer_url},
        )
