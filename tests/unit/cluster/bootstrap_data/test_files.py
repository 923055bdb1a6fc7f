"""Shared files on the disk."""

import datetime as dt
import stat

from k3py.cluster.bootstrap_data.document import SharedFile
from k3py.cluster.bootstrap_data.files import FILES, SharedFiles

WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_files_are_written_for_the_owner_alone_and_read_back(tmp_path):
    files = SharedFiles(tmp_path / "server")
    files.write({"ETCDPeerCAKey": SharedFile(b"key", WHEN), "ServiceKey": SharedFile(b"service", WHEN)})
    path = tmp_path / "server/tls/etcd/peer-ca.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {name: one.content for name, one in files.read().items()} == {
        "ETCDPeerCAKey": b"key",
        "ServiceKey": b"service",
    }


def test_a_name_that_is_not_in_the_table_is_written_nowhere(tmp_path):
    SharedFiles(tmp_path / "server").write({"../escape": SharedFile(b"x", WHEN), "Later": SharedFile(b"x", WHEN)})
    assert list(tmp_path.rglob("*")) == []
    assert not (tmp_path.parent / "escape").exists()


def test_no_path_of_the_table_leads_outside(tmp_path):
    for name in FILES:
        assert SharedFiles(tmp_path).path(name).resolve().is_relative_to(tmp_path.resolve())


def test_empty_files_count_as_missing(tmp_path):
    files = SharedFiles(tmp_path)
    files.write({"ServerCA": SharedFile(b"", WHEN)})
    assert files.read() == {}


def test_marks_add_up_and_are_taken_away(tmp_path):
    files = SharedFiles(tmp_path)
    files.mark(["ServerCA"])
    files.mark(["ServiceKey"])
    assert files.marked() == {"ServerCA", "ServiceKey"}
    files.unmark()
    assert files.marked() == frozenset()


def test_what_is_replaced_is_kept(tmp_path):
    files = SharedFiles(tmp_path)
    files.write({"ServiceKey": SharedFile(b"old", WHEN)})
    files.keep(["ServiceKey", "ServerCA"])
    (kept,) = tmp_path.glob("replaced-*/*")
    assert (kept.name, kept.read_bytes()) == ("service.key", b"old")
