"""etcdctl against `k3py kine`: the commands of spec/datastore.md §2.1, black box."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys

import pytest

from k3py.pki.authority import LeafRequest
from tests.support.etcd import free_port
from tests.support.kine_process import PROJECT, Etcdctl, etcdctl_programs, kine
from tests.support.throwaway_pki import make_pki

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not etcdctl_programs(), reason="etcdctl is not installed (Debian: etcd-client)"),
]


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def server(request, tmp_path_factory):
    store = tmp_path_factory.mktemp("kine") / "state.db"
    endpoint = "memory://" if request.param == "memory" else f"sqlite://{store}"
    with kine(endpoint=endpoint) as running:
        yield running


@pytest.fixture(params=etcdctl_programs() or ["none"])
def etcdctl(request, server):
    """An etcdctl on a store without keys."""
    ctl = Etcdctl(request.param, server.url)
    ctl("del", "", "--prefix")
    return ctl


def revision_of(answer):
    return answer["header"]["revision"]


def test_put_get_and_del_with_their_flags(etcdctl):
    assert etcdctl("put", "/a/1", "one") == "OK\n"
    etcdctl("put", "/a/2", "two")
    before = revision_of(etcdctl.json("put", "/b", "three"))
    assert etcdctl("get", "/a/1") == "/a/1\none\n"
    assert etcdctl("get", "/a/", "--prefix", "--keys-only").split() == ["/a/1", "/a/2"]
    assert etcdctl("get", "/a/2", "--from-key", "--print-value-only").split() == ["two", "three"]
    assert etcdctl("get", "/a/1", "/b", "--print-value-only").split() == ["one", "two"]
    assert etcdctl("get", "", "--prefix", "--limit", "1").split() == ["/a/1", "one"]
    assert etcdctl("get", "", "--prefix", "--order", "DESCEND", "--print-value-only").split() == [
        "three",
        "two",
        "one",
    ]
    sorted_ = etcdctl("get", "", "--prefix", "--sort-by", "VALUE", "--order", "ASCEND", "--print-value-only")
    assert sorted_.split() == ["one", "three", "two"]
    assert etcdctl.json("get", "", "--prefix", "--limit", "1", "--consistency", "s")["count"] == 3
    assert etcdctl("put", "/b", "four", "--prev-kv").split() == ["OK", "/b", "three"]
    assert etcdctl("get", "/b", "--rev", str(before), "--print-value-only") == "three\n"
    assert etcdctl("del", "/a/", "--prefix", "--prev-kv").split() == ["2", "/a/1", "one", "/a/2", "two"]
    assert etcdctl("del", "/none") == "0\n"


def test_put_keeps_lease_or_value(etcdctl):
    lease = etcdctl("lease", "grant", "300").split()[1]
    etcdctl("put", "/k", "v", "--lease", lease)
    etcdctl("put", "/k", "w", "--ignore-lease")
    etcdctl("put", "/k", "--ignore-value")
    shown = etcdctl.json("get", "/k")["kvs"][0]
    assert (base64.b64decode(shown["value"]), shown["version"]) == (b"w", 3)
    assert shown.get("lease", 0) == 0
    assert "key not found" in etcdctl.run("put", "/none", "--ignore-value").stderr


def test_txn_with_comparisons_and_both_branches(etcdctl):
    etcdctl("put", "/t", "1")
    script = 'value("/t") = "1"\nversion("/none") = "0"\n\nput /t 2\nget /t\n\nput /t never\n\n'
    assert etcdctl("txn", text=script).split() == ["SUCCESS", "OK", "/t", "2"]
    assert etcdctl("txn", text=script).split() == ["FAILURE", "OK"]
    assert etcdctl("get", "/t", "--print-value-only") == "never\n"


def test_watch_shows_what_was_and_what_comes(etcdctl):
    first = revision_of(etcdctl.json("put", "/w/1", "a"))
    with etcdctl.running("watch", "/w/", "--prefix", "--prev-kv", "--rev", str(first)) as watch:
        etcdctl("put", "/w/1", "b")
        etcdctl("del", "/w/1")
        lines = [watch.stdout.readline().strip() for _ in range(3 + 5 + 5)]
    assert [line for line in lines if line in ("PUT", "DELETE")] == ["PUT", "PUT", "DELETE"]
    assert lines[3:8] == ["PUT", "/w/1", "a", "/w/1", "b"]


def test_interactive_watch_answers_progress(etcdctl):
    current = revision_of(etcdctl.json("get", "/none"))
    with etcdctl.running("watch", "-i") as watch:
        watch.stdin.write("watch /p\n")
        watch.stdin.flush()
        etcdctl("put", "/other", "x")
        watch.stdin.write("progress\n")
        watch.stdin.flush()
        line = watch.stdout.readline().strip()
    assert line.startswith("progress notify: ")
    assert int(line.split()[-1]) >= current


def test_leases_are_granted_listed_kept_alive_and_revoked(etcdctl):
    lease = etcdctl("lease", "grant", "300").split()[1]
    etcdctl("put", "/l", "v", "--lease", lease)
    shown = etcdctl("lease", "timetolive", lease, "--keys")
    assert "granted with TTL(300s)" in shown
    assert "attached keys([/l])" in shown
    assert lease in etcdctl("lease", "list")
    assert "keepalived with TTL(300)" in etcdctl("lease", "keep-alive", lease, "--once")
    assert "revoked" in etcdctl("lease", "revoke", lease)
    assert etcdctl("get", "/l") == ""
    assert "already expired" in etcdctl("lease", "timetolive", lease)
    assert "requested lease not found" in etcdctl.run("lease", "revoke", lease).stderr


def test_locks_exclude_each_other(etcdctl):
    with etcdctl.running("lock", "/lock") as holder:
        key = holder.stdout.readline().strip()
        assert key.startswith("/lock/")
        with etcdctl.running("lock", "/lock", "echo", "mine") as second:
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(0.5)
            etcdctl("del", key)
            assert second.stdout.read().strip() == "mine"
            assert second.wait(20) == 0


def test_elections_are_proclaimed(etcdctl):
    with etcdctl.running("elect", "/election", "me") as candidate:
        assert candidate.stdout.readline().startswith("/election/")
        assert candidate.stdout.readline() == "me\n"


def test_compaction_takes_old_revisions(etcdctl):
    revision = revision_of(etcdctl.json("put", "/c", "1"))
    etcdctl("put", "/c", "2")
    assert "compacted revision" in etcdctl("compaction", str(revision + 1), "--physical")
    assert "required revision has been compacted" in etcdctl.run("get", "/c", "--rev", str(revision)).stderr
    assert "future revision" in etcdctl.run("compaction", "99999999").stderr


def test_endpoint_member_alarm_and_maintenance_commands(etcdctl, server):
    etcdctl("put", "/a", "1")
    (status,) = etcdctl.json("endpoint", "status")
    assert status["Status"]["version"].startswith("3.6.")
    assert status["Status"]["leader"] == status["Status"]["header"]["member_id"]
    etcdctl("endpoint", "status", "-w", "table")
    assert "is healthy" in (healthy := etcdctl.run("endpoint", "health")).stdout + healthy.stderr
    (hashed,) = etcdctl.json("endpoint", "hashkv")
    assert hashed["HashKV"]["hash"] > 0
    assert server.url in etcdctl("member", "list")
    assert etcdctl("alarm", "list") == ""
    assert etcdctl("alarm", "disarm") == ""
    assert "Finished defragmenting" in etcdctl("defrag")


def test_users_members_and_leaders_are_refused_clearly(etcdctl):
    for command in (("user", "list"), ("auth", "enable"), ("member", "add", "x", "--peer-urls=http://x:1")):
        refused = etcdctl.run(*command)
        assert refused.returncode != 0
        assert "k3py" in refused.stderr + refused.stdout


def test_make_mirror_copies_to_another_store(etcdctl):
    with kine() as target:
        etcdctl("put", "/m/1", "a")
        other = Etcdctl(etcdctl.command[0], target.url)
        with (
            etcdctl.running("make-mirror", "--prefix", "/m/", target.url),
            other.running("watch", "--rev=1", "/m/2") as watch,
        ):
            etcdctl("put", "/m/2", "b")
            assert [watch.stdout.readline().strip() for _ in range(3)] == ["PUT", "/m/2", "b"]
            assert other("get", "/m/", "--prefix").split() == ["/m/1", "a", "/m/2", "b"]


def test_a_saved_snapshot_can_be_imported(etcdctl, tmp_path):
    etcdctl("put", "/s", "v" * 1000)
    saved = tmp_path / "saved"
    etcdctl("snapshot", "save", str(saved))
    store = tmp_path / "data/server/db/state.db"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "k3py", "datastore", "import", str(saved)),
            *("--data-dir", str(tmp_path / "data")),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    assert done.returncode == 0, done.stderr
    with kine(endpoint=f"sqlite://{store}") as restored:
        copy = Etcdctl(etcdctl.command[0], restored.url)
        assert copy("get", "/s", "--print-value-only").strip() == "v" * 1000


def test_tls_asks_for_a_clients_certificate(tmp_path):
    pki = make_pki(tmp_path)
    pki.issue("client", LeafRequest(common_name="client"))
    served = ("server-cert-file", "server.crt"), ("server-key-file", "server.key"), ("server-ca-file", "ca.crt")
    flags = [f"--{name}={tmp_path / file}" for name, file in served]
    with kine(*flags) as running:
        assert running.url.startswith("https://")
        program = etcdctl_programs()[0]
        known = ("--cacert", str(tmp_path / "ca.crt"))
        mine = ("--cert", str(tmp_path / "client.crt"), "--key", str(tmp_path / "client.key"))
        assert Etcdctl(program, running.url, *known, *mine)("put", "/a", "1") == "OK\n"
        stranger = Etcdctl(program, running.url, *known, "--dial-timeout", "1s", "--command-timeout", "1s")
        assert stranger.run("get", "/a").returncode != 0
        assert asyncio.run(driver_sees(running.url, tmp_path)) == [b"/a"]


async def driver_sees(url, folder):
    from k3py.datastore.factory import open_backend
    from k3py.datastore.tls_files import TlsFiles

    tls = TlsFiles(folder / "ca.crt", folder / "client.crt", folder / "client.key")
    async with open_backend(url, history_s=None, tls=tls) as backend:
        return [kv.key for kv in (await backend.range(b"\0", b"\0")).kvs]


def test_a_unix_socket_is_private_and_goes_away(tmp_path):
    socket = tmp_path / "kine.sock"
    with kine(listen=f"unix://{socket}") as running:
        assert socket.stat().st_mode & 0o777 == 0o600
        assert Etcdctl(etcdctl_programs()[0], running.url)("put", "/a", "1") == "OK\n"
        assert running.stop() == 0
    assert not socket.exists()


def test_kine_can_be_stopped_while_it_waits_for_its_database(tmp_path):
    command = [sys.executable, "-m", "k3py", "kine", "--listen-address", "127.0.0.1:0"]
    environment = {**os.environ, "K3PY_DATASTORE_ENDPOINT": f"postgres://a:secret@127.0.0.1:{free_port()}/none"}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            assert "secret" not in line
            if "waiting for the datastore" in line:
                process.terminate()
            if "stopped" in line:
                break
        assert process.wait(30) == 0
