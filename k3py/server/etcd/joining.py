"""A server becomes a member of the cluster that another server is in: as a learner first, with a vote once it has caught up (J-78, J-79).

Each step may have been done by an earlier start that was killed: what is found is gone on with.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import orjson

from k3py.cluster.server_client import NotReachable, ServerAddress, fetch
from k3py.cluster.token import is_pinned_by, parse_token
from k3py.datastore.errors import Unavailable
from k3py.errors import ConfigError, K3pyError
from k3py.pki.layout import pki_paths
from k3py.server.etcd.layout import INFO_PATH, node_of
from k3py.server.etcd.membership import Member, open_membership
from k3py.util.backoff import Backoff
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.config.server import ServerConfig
    from k3py.server.etcd.layout import EtcdLayout
    from k3py.server.etcd.membership import Membership

log = logging.getLogger(__name__)

STALLED_S: Final = 300.0
"""A learner that gets no further for so long is given up: there can be only one at a time."""

_FIRST_S: Final = 0.5
_CAP_S: Final = 5.0


class DuplicateMember(K3pyError):
    """Another member has this server's name or address."""


async def join_cluster(
    config: ServerConfig, layout: EtcdLayout, name: str, peer_url: str
) -> Mapping[str, Sequence[str]]:
    """Add this server to the cluster of `config.server`; return the peer URLs of the other members, by name.

    Waits while the server does not answer, or another learner is on its way.

    Raises:
        ConfigError: the token is another cluster's, or this data dir is.
        DuplicateMember: a member of this node name, or at this address, is there already; says what to do.
        K3pyError: the server refuses, or has no managed etcd.
    """
    await asyncio.to_thread(check_authority, config)
    known = await _ask_patiently(config)
    voters = client_urls_of(known)
    if not voters:
        raise K3pyError(f"{config.server}: none of the members of its etcd has a vote: it cannot be joined")
    await asyncio.to_thread(write_atomically, layout.voters_file, "\n".join(voters).encode() + b"\n")
    async with open_membership(layout, voters) as membership:
        own = await _add(membership, name, peer_url)
        members = await membership.members()
    return {one.name or f"unstarted-{one.id:x}": one.peer_urls for one in members if one.id != own.id}


def check_authority(config: ServerConfig) -> None:
    """Raises ConfigError: the authorities here are not those that the token pins: this was a cluster of its own. Blocking."""
    pinned = parse_token(config.token).ca_hash
    file = pki_paths(config.data_dir).authority("server-ca")
    if pinned and file.exists() and not is_pinned_by(file.read_bytes(), pinned):
        raise ConfigError(
            f"--server: {config.server!r}: {config.data_dir / 'server'} belongs to another cluster: must be a server of the same cluster, or remove that folder"
        )


async def _ask_patiently(config: ServerConfig) -> list[Member]:
    pauses = Backoff(first_s=_FIRST_S, cap_s=2 * _CAP_S)
    while True:
        try:
            return await asyncio.to_thread(fetch_members, config)
        except NotReachable as error:
            pause_s = pauses.next_s()
            log.warning(
                "waiting for the server", extra={"error": str(error), "next_attempt_s": round(pause_s, 1)}
            )
        await asyncio.sleep(pause_s)


def fetch_members(config: ServerConfig) -> list[Member]:
    """Tell a server that one more is coming, and get the members of its etcd. Blocking. Raises as `join_cluster`, and NotReachable."""
    answer = fetch(ServerAddress(config.server, config.token), "POST", INFO_PATH)
    try:
        return [Member.read(one) for one in orjson.loads(answer)["members"]]
    except (ValueError, LookupError, TypeError):
        raise K3pyError(f"{config.server}: {INFO_PATH}: does not list members of an etcd") from None


def client_urls_of(members: Iterable[Member]) -> list[str]:
    """Return where members with a vote answer."""
    return [url for one in members if not one.is_learner for url in one.client_urls]


def find_own(members: Iterable[Member], name: str, peer_url: str) -> Member | None:
    """Return the member that an earlier start added for us and that has not started yet, None if there is none.

    Raises:
        DuplicateMember: see `join_cluster`.
    """
    for one in members:
        if not one.name and peer_url in one.peer_urls:
            return one
        if one.name == name:
            raise DuplicateMember(
                f"this server is a member of the cluster already ({name}), but its data is gone: delete its Node (kubectl delete node {node_of(name)}), "
                "which removes the member, then start it again"
            )
        if one.name and node_of(one.name) == node_of(name):
            raise DuplicateMember(
                f"--node-name: {node_of(name)!r}: is the name of another member ({one.name}, {', '.join(one.peer_urls)}): choose another one, or delete "
                f"that Node first (kubectl delete node {node_of(name)})"
            )
        if peer_url in one.peer_urls:
            raise DuplicateMember(
                f"--node-ip: {peer_url} is the address of another member ({one.name}): delete the Node {node_of(one.name)!r} first, or choose another one"
            )
    return None


async def _add(membership: Membership, name: str, peer_url: str) -> Member:
    pauses = Backoff(first_s=_FIRST_S, cap_s=_CAP_S, jitter=0.3)
    now = asyncio.get_running_loop().time
    stalled: dict[int, float] = {}
    members: list[Member] = []
    while True:
        try:
            members = await membership.members()
            return find_own(members, name, peer_url) or await membership.add_learner(peer_url)
        except Unavailable as error:
            log.warning("cannot join the cluster's etcd yet", extra={"error": str(error)})
        except ValueError as error:
            raise ConfigError(f"--node-ip: {peer_url}: {error}") from None
        stalled = {one.id: stalled.get(one.id, now()) for one in members if one.is_learner}
        for member_id, since in stalled.items():
            if now() - since > STALLED_S:
                log.warning("removing a learner that gets no further", extra={"member": f"{member_id:x}"})
                await membership.remove(member_id)
        await asyncio.sleep(pauses.next_s())


async def promote_self(layout: EtcdLayout, member_id: int) -> bool:
    """Ask the members with a vote to give us one; False: not yet, or nobody answers."""
    voters = await asyncio.to_thread(_read_voters, layout)
    if not voters:
        return False
    async with open_membership(layout, voters) as membership:
        try:
            done = await membership.promote(member_id)
        except Unavailable as error:
            log.debug("no vote yet", extra={"error": str(error)})
            return False
    if done:
        log.info("this server's etcd has caught up and has a vote now")
    return done


def _read_voters(layout: EtcdLayout) -> list[str]:
    file = layout.voters_file
    return file.read_text(encoding="utf-8").split() if file.exists() else []
