"""Which servers run a member of the managed etcd."""

import pytest

from k3py.config.server import load_server_config
from k3py.errors import ConfigError
from k3py.server.etcd.choice import chosen_datastore, find_member, on_member, runs_etcd
from k3py.server.etcd.layout import EtcdLayout
from k3py.server.etcd.process import MemberRemoved
from k3py.server.etcd.start import put_aside_removed


def config_of(tmp_path, *arguments):
    (tmp_path / "config.yaml").touch()
    return load_server_config([f"--data-dir={tmp_path}/data", f"--config={tmp_path}/config.yaml", "--node-ip=192.0.2.1", *arguments], {})


def begin_log(tmp_path):
    wal = EtcdLayout(data_dir=tmp_path / "data").folder / "member/wal"
    wal.mkdir(parents=True)
    (wal / "0-0.wal").touch()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), False),
        (("--cluster-init",), True),
        (("--server=https://192.0.2.2:6443", "--token=t"), True),
        (("--server=https://192.0.2.2:6443", "--token=t", "--datastore-endpoint=postgres://db/k"), False),
        (("--datastore-endpoint=https://192.0.2.9:2379",), False),
    ],
)
def test_it_runs_where_a_cluster_begins_or_is_joined(tmp_path, arguments, wanted):
    assert runs_etcd(config_of(tmp_path, *arguments)) is wanted


@pytest.mark.parametrize("arguments", [(), ("--datastore-endpoint=postgres://db/k",), ("--cluster-init",)])
def test_a_member_stays_one_whatever_the_flags_are(tmp_path, arguments):
    begin_log(tmp_path)
    assert runs_etcd(config_of(tmp_path, *arguments))


def test_two_datastores_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--cluster-init: must not be given together with --datastore-endpoint"):
        runs_etcd(config_of(tmp_path, "--cluster-init", "--datastore-endpoint=postgres://db/k"))


async def test_other_servers_keep_their_datastore(tmp_path):
    config = config_of(tmp_path, "--datastore-endpoint=postgres://db/k")
    async with chosen_datastore(config) as chosen:
        assert chosen is config


def test_the_datastore_of_a_member_is_its_own_etcd(tmp_path):
    assert find_member(tmp_path / "data") is None
    begin_log(tmp_path)
    chosen = on_member(config_of(tmp_path), find_member(tmp_path / "data"))
    assert (chosen.datastore_endpoint, chosen.runs_etcd) == ("https://127.0.0.1:2379", True)
    assert chosen.datastore_cafile == tmp_path / "data/server/tls/etcd/server-ca.crt"


def test_a_removed_member_joins_anew_but_begins_no_cluster(tmp_path):
    begin_log(tmp_path)
    layout = EtcdLayout(data_dir=tmp_path / "data")
    put_aside_removed(layout, joins=True)
    assert layout.has_member
    layout.tombstone.touch()
    with pytest.raises(MemberRemoved, match="--server URL of another server"):
        put_aside_removed(layout, joins=False)
    assert layout.has_member
    put_aside_removed(layout, joins=True)
    assert not layout.has_member
    assert len(list(layout.folder.parent.glob("etcd-old-*/member"))) == 1
