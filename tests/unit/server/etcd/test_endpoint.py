"""Who asks for the members and who joins."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import orjson
import pytest

from k3py.datastore.errors import Unavailable
from k3py.server.etcd import membership, process
from k3py.server.etcd.endpoint import member_paths
from k3py.server.etcd.membership import Member

ONE = Member(5, "n1-1", ("https://192.0.2.1:2380",), ("https://192.0.2.1:2379",), is_learner=False)


class Cluster:
    def __init__(self, *members):
        self.present = members

    async def members(self):
        if not self.present:
            raise Unavailable("no etcd answers")
        return list(self.present)


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Ask with a method; returns status and document."""
    restarts = []

    async def do(method, *members, runs_etcd=True):
        @asynccontextmanager
        async def open_membership(layout):
            yield Cluster(*members)

        monkeypatch.setattr(membership, "open_membership", open_membership)
        monkeypatch.setattr(process, "expect_others", lambda layout: not restarts and restarts.append(layout) is None)
        give = member_paths(SimpleNamespace(data_dir=tmp_path, runs_etcd=runs_etcd))["/db/info"]
        return await give(SimpleNamespace(method=method))

    return do


async def test_members_are_listed_and_nothing_changes(ask):
    for _ in range(2):
        answer = await ask("GET", ONE)
        assert (answer.status, orjson.loads(answer.body)) == (200, {"members": [ONE.document()]})


async def test_one_who_joins_asks_again_when_etcd_has_the_timing_of_several(ask):
    assert (await ask("POST", ONE)).status == 503
    assert (await ask("POST", ONE)).status == 200


@pytest.mark.parametrize(
    ("method", "members", "runs_etcd", "status"),
    [("DELETE", (ONE,), True, 405), ("GET", (), True, 503), ("GET", (ONE,), False, 400)],
)
async def test_what_cannot_be_answered_is_told(ask, method, members, runs_etcd, status):
    assert (await ask(method, *members, runs_etcd=runs_etcd)).status == status
