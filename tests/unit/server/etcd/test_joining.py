"""What a server that joins makes of the members that are there."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from k3py.cluster.token import hash_ca
from k3py.datastore.errors import Unavailable
from k3py.errors import ConfigError, K3pyError
from k3py.pki.authority import make_authority
from k3py.pki.layout import pki_paths
from k3py.pki.provision import ensure_authorities
from k3py.server.etcd import joining
from k3py.server.etcd.joining import DuplicateMember, client_urls_of, fetch_members, find_own
from k3py.server.etcd.membership import Member

URL = "https://192.0.2.2:2380"
FIRST = Member(1, "n1-11111111", ("https://192.0.2.1:2380",), ("https://192.0.2.1:2379",), is_learner=False)


def member(number, name, url, *, is_learner=False):
    return Member(number, name, (url,), (), is_learner)


def test_a_new_server_is_not_there_yet():
    assert find_own([FIRST], "n2-22222222", URL) is None


def test_a_member_that_was_added_before_a_kill_is_gone_on_with():
    own = member(2, "", URL, is_learner=True)
    assert find_own([FIRST, own], "n2-22222222", URL) is own


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (member(2, "n2-22222222", URL), "its data is gone: .*kubectl delete node n2"),
        (member(2, "n2-33333333", "https://192.0.2.9:2380"), "--node-name: 'n2': is the name of another member"),
        (member(2, "n9-33333333", URL), f"--node-ip: {URL} is the address of another member"),
    ],
)
def test_a_name_or_address_of_another_member_is_refused(there, why):
    with pytest.raises(DuplicateMember, match=why):
        find_own([FIRST, there], "n2-22222222", URL)


def test_only_members_with_a_vote_are_asked():
    assert client_urls_of([FIRST, Member(2, "", (URL,), ("https://192.0.2.2:2379",), is_learner=True)]) == ["https://192.0.2.1:2379"]


def test_members_are_read_from_the_servers_answer(monkeypatch):
    config = SimpleNamespace(server="https://192.0.2.1:6443", token="t")
    answer = b'{"members": [{"ID": 18446744073709551615, "name": "n1-1", "peerURLs": ["p"], "clientURLs": ["c"]}]}'
    monkeypatch.setattr(joining, "fetch", lambda address, method, path: answer)
    (found,) = fetch_members(config)
    assert (found.id, found.name, found.is_learner) == (2**64 - 1, "n1-1", False)
    assert Member.read(found.document()) == found


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"members": [{}]}', b"<html>", b'{"members": 1}'])
def test_an_answer_that_lists_no_members_is_refused(monkeypatch, answer):
    monkeypatch.setattr(joining, "fetch", lambda address, method, path: answer)
    with pytest.raises(K3pyError, match="/db/info: does not list members"):
        fetch_members(SimpleNamespace(server="https://192.0.2.1:6443", token="t"))


class Cluster:
    """Plays etcd's membership: another learner is on its way and gets no further."""

    def __init__(self):
        self.present = [FIRST, member(7, "", "https://192.0.2.7:2380", is_learner=True)]

    async def members(self):
        return list(self.present)

    async def add_learner(self, peer_url):
        if any(one.is_learner for one in self.present):
            raise Unavailable("etcdserver: too many learner members in cluster")
        self.present.append(member(8, "", peer_url, is_learner=True))
        return self.present[-1]

    async def remove(self, member_id):
        self.present = [one for one in self.present if one.id != member_id]


async def test_a_learner_that_gets_no_further_is_removed_after_five_minutes(monkeypatch):
    cluster = Cluster()
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(joining.asyncio, "sleep", sleep)
    monkeypatch.setattr(joining.asyncio, "get_running_loop", lambda: SimpleNamespace(time=lambda: sum(slept)))
    added = await joining._add(cluster, "n2-22222222", URL)
    assert added.peer_urls == (URL,)
    assert [one.id for one in cluster.present] == [1, 8]
    assert 300 < sum(slept) < 330


def test_a_server_of_another_cluster_does_not_join(tmp_path):
    paths = pki_paths(tmp_path)
    own = ensure_authorities(paths)["server-ca"].certificate
    for authority, refused in ((own, False), (make_authority("k3py-server").certificate, True)):
        config = SimpleNamespace(server="https://192.0.2.1:6443", data_dir=tmp_path, token=f"K10{hash_ca(authority)}::server:x")
        with pytest.raises(ConfigError, match="belongs to another cluster") if refused else nullcontext():
            joining.check_authority(config)


async def test_an_address_that_etcd_refuses_is_an_error_of_the_flag():
    class Refusing(Cluster):
        async def add_learner(self, peer_url):
            raise ValueError("Peer URLs already exists")

    with pytest.raises(ConfigError, match=f"--node-ip: {URL}: Peer URLs already exists"):
        await joining._add(Refusing(), "n2-22222222", URL)
