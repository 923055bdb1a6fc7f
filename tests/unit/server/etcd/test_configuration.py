"""etcd's configuration file, and the flags of --etcd-arg in it."""

from dataclasses import replace

import orjson
import pytest

from k3py.errors import ConfigError
from k3py.server.etcd.configuration import MemberSettings, expect_others, read_arguments, render
from k3py.server.etcd.layout import EtcdLayout


@pytest.fixture
def settings(tmp_path):
    return MemberSettings(
        layout=EtcdLayout(data_dir=tmp_path), name="n1-0a1b2c3d", address="192.0.2.1", version=(3, 4, 23), others={}, arguments={}
    )


def rendered(settings, **changes):
    return orjson.loads(render(replace(settings, **changes)))


def test_a_new_cluster_listens_as_k3s_does(settings, tmp_path):
    document = rendered(settings)
    assert document["initial-cluster"] == "n1-0a1b2c3d=https://192.0.2.1:2380"
    assert document["initial-cluster-state"] == "new"
    assert document["listen-client-urls"] == "https://127.0.0.1:2379,https://192.0.2.1:2379"
    assert document["listen-peer-urls"] == "https://127.0.0.1:2380,https://192.0.2.1:2380"
    assert document["listen-metrics-urls"] == "http://127.0.0.1:2381"
    assert "force-new-cluster" not in document
    assert document["data-dir"] == str(tmp_path / "server/db/etcd")


def test_clients_and_peers_must_show_certificates_of_their_authorities(settings, tmp_path):
    document = rendered(settings)
    for side, role, leaf in (("client", "server", "server-client"), ("peer", "peer", "peer-server-client")):
        transport = document[f"{side}-transport-security"]
        assert transport["client-cert-auth"] is True
        assert transport["trusted-ca-file"] == str(tmp_path / f"server/tls/etcd/{role}-ca.crt")
        assert transport["cert-file"] == str(tmp_path / f"server/tls/etcd/{leaf}.crt")


def test_a_member_that_joins_names_the_others(settings):
    others = {"n2-1": ("https://192.0.2.2:2380",), "n3-1": ("https://192.0.2.3:2380",)}
    document = rendered(settings, others=others, joins=True)
    assert document["initial-cluster"].split(",") == [
        "n1-0a1b2c3d=https://192.0.2.1:2380",
        "n2-1=https://192.0.2.2:2380",
        "n3-1=https://192.0.2.3:2380",
    ]
    assert document["initial-cluster-state"] == "existing"


def test_metrics_are_shown_to_others_on_demand_only(settings):
    document = rendered(settings, expose_metrics=True, address="2001:db8::1")
    assert document["listen-metrics-urls"] == "http://127.0.0.1:2381,http://[2001:db8::1]:2381"


def test_a_reset_member_forgets_the_others(settings):
    assert rendered(settings, alone=True)["force-new-cluster"] is True


def test_the_check_of_content_has_the_name_of_the_version(settings):
    assert rendered(settings)["experimental-initial-corrupt-check"] is True
    assert rendered(settings, version=(3, 6, 1))["feature-gates"] == "InitialCorruptCheck=true"


def test_arguments_win_and_are_typed_as_etcd_wants_them(settings):
    given = ("heartbeat-interval=100", "pre-vote=false", "--election-timeout=1000", "experimental-peer-skip-client-san-verification=true")
    more = ("experimental-watch-progress-notify-interval=2s", "auto-compaction-retention=1", "metrics=extensive")
    document = rendered(settings, arguments=read_arguments((*given, *more)))
    assert document["heartbeat-interval"] == 100
    assert document["election-timeout"] == 1000
    assert document["pre-vote"] is False
    assert document["experimental-watch-progress-notify-interval"] == 2_000_000_000
    assert document["auto-compaction-retention"] == "1"
    assert document["metrics"] == "extensive"


@pytest.mark.parametrize("argument", ["data-dir=/x", "listen-client-urls=http://0.0.0.0:2379", "trusted-ca-file=/x", "initial-cluster=a=b", "force-new-cluster=true"])
def test_what_k3py_sets_itself_is_refused(argument):
    with pytest.raises(ConfigError, match=rf"--etcd-arg: '{argument.partition('=')[0]}': is set by k3py"):
        read_arguments((argument,))


@pytest.mark.parametrize("argument", ["metrics", "=x", ""])
def test_an_argument_without_a_value_is_refused(argument):
    with pytest.raises(ConfigError, match=r"--etcd-arg: .*must be name=value"):
        read_arguments((argument,))


def test_a_single_member_elects_itself_quickly_until_others_come(settings):
    alone, among = rendered(settings, is_alone=True), rendered(settings)
    assert alone["election-timeout"] < among["election-timeout"]
    assert orjson.loads(expect_others(render(replace(settings, is_alone=True)))) == among
    assert expect_others(render(settings)) is None
    by_hand = replace(settings, is_alone=True, arguments=read_arguments(("election-timeout=9000",)))
    assert expect_others(render(by_hand)) is None
