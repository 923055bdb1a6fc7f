"""Three servers on one PostgreSQL under a load of writes, each killed in turn: nothing acknowledged is lost, others take over."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import ExitStack

import pytest

from k3py.datastore.factory import open_backend
from tests.support.databases import fresh_endpoint
from tests.support.history.watches import check_log
from tests.support.history.workload import log_of
from tests.support.server_process import ServerProcess
from tests.support.write_load import Api, Writer, find_lost

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLIENTS = 3
PATIENCE_S = 60.0


def api(server):
    return Api(server.url, ca=server.ca, certificate=server.admin_cert, key=server.admin_key)


def wait_for(what, check):
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            if check():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        time.sleep(0.1)


def leader(server, lease="kube-controller-manager"):
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{lease}"
    status, answer = api(server).ask("GET", path)
    return answer["spec"]["holderIdentity"] if status == 200 else ""


def addresses(server):
    _, answer = api(server).ask("GET", "/api/v1/namespaces/default/endpoints/kubernetes")
    return {one["ip"] for subset in answer.get("subsets") or () for one in subset["addresses"]}


def start(stack, folder, endpoint, number, *flags):
    """Start a server; it has made what every cluster has when this returns."""
    name = f"s{number}"
    (folder / name).mkdir()
    arguments = ("--datastore-endpoint", endpoint, "--token", "shared-secret", "--node-name", name, *flags)
    server = stack.enter_context(
        ServerProcess(folder / name, *arguments, "--advertise-address", f"192.0.2.{number}")
    )
    try:
        wait_for("a namespace", lambda: api(server).ask("GET", "/api/v1/namespaces/default")[0] == 200)
    except AssertionError as error:
        error.add_note(f"{name} answers {api(server).ask('GET', '/readyz?verbose')!r}; its log:\n{server.log.read_text()[-8000:]}")
        raise
    return server


async def test_no_acknowledged_write_is_lost_when_each_server_is_killed_in_turn(tmp_path):
    endpoint = fresh_endpoint("postgres")
    names = ("s1", "s2", "s3")
    everybody = {f"192.0.2.{number}" for number in (1, 2, 3)}
    over, replaced_s = threading.Event(), []
    with ExitStack() as stack:
        servers = [start(stack, tmp_path, endpoint, number) for number in (1, 2, 3)]
        keys = {(tmp_path / name / "data/server/tls/client-ca.key").read_bytes() for name in names}
        assert len(keys) == 1, "servers must share their authorities"
        wait_for("all servers behind the Service", lambda: addresses(servers[0]) == everybody)
        writers = [Writer(f"w{number}", [api(one) for one in servers], over) for number in range(CLIENTS)]
        stack.callback(over.set)
        for writer in writers:
            writer.start()
        for _ in names:
            wait_for("a leader", lambda: leader(servers[0]))
            old = leader(servers[0])
            killed = servers[names.index(old.partition("_")[0])]
            other = next(one for one in servers if one is not killed)
            killed.kill()
            killed_s = time.monotonic()
            wait_for("another leader", lambda other=other, old=old: leader(other) not in ("", old))
            replaced_s.append(time.monotonic() - killed_s)
            wait_for("the dead one to leave the Service", lambda other=other: len(addresses(other)) == 2)
            killed.__enter__()
            wait_for("it to come back", lambda other=other: addresses(other) == everybody)
        over.set()
        for writer in writers:
            writer.join()
    acknowledged = [one for writer in writers for one in writer.acknowledged]
    async with open_backend(endpoint, history_s=None) as backend:
        log = await log_of(backend)
    check_log(log)
    lost = find_lost(acknowledged, log)
    longest_s = max(writer.longest_s for writer in writers)
    print(
        f"{len(acknowledged)} acknowledged writes, {len(lost)} lost; longest write outage {longest_s:.2f} s; "
        f"leaders replaced after {', '.join(f'{one:.1f}' for one in replaced_s)} s"
    )
    assert acknowledged
    assert not lost


def secret(name):
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "stringData": {"k": name}}


async def test_keys_of_secrets_are_changed_on_all_servers_while_they_write(tmp_path):
    endpoint = fresh_endpoint("postgres")
    path, over, written = "/api/v1/namespaces/default/secrets", threading.Event(), []

    def write(server, prefix):
        number = 0
        while not over.is_set():
            number += 1
            status, _ = api(server).ask("POST", path, secret(f"{prefix}-{number}"))
            if status == 201:
                written.append(f"{prefix}-{number}")

    def keys(number):
        return (tmp_path / f"s{number}/data/server/cred/encryption-config.json").read_bytes()

    with ExitStack() as stack:
        one = start(stack, tmp_path, endpoint, 1, "--secrets-encryption")
        two = start(stack, tmp_path, endpoint, 2, "--secrets-encryption")
        wait_for("both to know each other", lambda: len(addresses(one)) == 2)
        old = keys(1)
        assert keys(2) == old
        threads = [threading.Thread(target=write, args=(server, prefix)) for server, prefix in ((one, "a"), (two, "b"))]
        stack.callback(over.set)
        for thread in threads:
            thread.start()
        wait_for("some Secrets", lambda: len(written) > 20)
        status, answer = api(one).ask("PUT", "/v1-k3py/encrypt/config", {"stage": "rotate_keys"})
        assert status == 200, answer
        before = len(written)
        wait_for(
            "re-encryption",
            lambda: api(two).ask("GET", "/v1-k3py/encrypt/status")[1]["stage"] == "reencrypt_finished",
        )
        wait_for("writes with the new key", lambda: len(written) > before + 5)
        over.set()
        for thread in threads:
            thread.join()
        assert keys(1) == keys(2) != old
        shown = [api(server).ask("GET", "/v1-k3py/encrypt/status")[1] for server in (one, two)]
        assert shown[0]["hash"] == shown[1]["hash"]
        assert [one["hashmatch"] for one in shown] == [True, True]
        three = start(stack, tmp_path, endpoint, 3, "--secrets-encryption")
        assert keys(3) == keys(1)
        for server in (one, two, three):
            _, listed = api(server).ask("GET", path)
            assert {one["metadata"]["name"] for one in listed["items"]} >= set(written)
    async with open_backend(endpoint, history_s=None) as backend:
        found = await backend.range(b"/registry/secrets/default/", b"/registry/secrets/default0")
    (name,) = {kv.value.split(b":")[4] for kv in found.kvs}
    assert name.decode() in shown[0]["activekey"]["name"]


def test_a_server_with_another_critical_argument_or_token_does_not_start(tmp_path):
    endpoint = fresh_endpoint("postgres")
    with ExitStack() as stack:
        start(stack, tmp_path, endpoint, 1)
        for number, flags, fault in (
            (2, ("--cluster-cidr=10.99.0.0/16",), "--cluster-cidr: '10.99.0.0/16': must be '10.42.0.0/16' as on s1 (192.0.2.1)"),
            (3, ("--token=another-secret",), "--token: the datastore belongs to a cluster with another token"),
        ):
            with pytest.raises(RuntimeError, match="did not start") as caught:
                start(stack, tmp_path, endpoint, number, *flags)
            assert fault in str(caught.value)


def test_servers_that_start_at_once_on_an_empty_database_make_one_cluster(tmp_path):
    endpoint = fresh_endpoint("postgres")
    faults = []
    with ExitStack() as stack:
        started = []

        def begin(number):
            try:
                started.append(start(stack, tmp_path, endpoint, number, "--secrets-encryption"))
            except RuntimeError as error:
                faults.append(str(error))

        threads = [threading.Thread(target=begin, args=(number,)) for number in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        for server in started:
            wait_for("all behind the Service", lambda server=server: len(addresses(server)) == 3)
        for name in ("tls/server-ca.key", "tls/service.key", "cred/encryption-config.json", "token"):
            assert len({(tmp_path / f"s{number}/data/server" / name).read_bytes() for number in (1, 2, 3)}) == 1, name


def test_servers_give_no_node_port_twice(tmp_path):
    endpoint = fresh_endpoint("postgres")
    path, made, lock = "/api/v1/namespaces/default/services", [], threading.Lock()

    def create(server, prefix):
        for number in range(25):
            spec = {"type": "NodePort", "ports": [{"port": 80}]}
            body = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": f"{prefix}{number}"}, "spec": spec}
            status, answer = api(server).ask("POST", path, body)
            assert status == 201, answer
            with lock:
                made.append((answer["spec"]["clusterIP"], answer["spec"]["ports"][0]["nodePort"]))

    with ExitStack() as stack:
        few = ("--service-node-port-range=30000-30099", "--service-cidr=10.43.0.0/24")
        servers = [start(stack, tmp_path, endpoint, number, *few) for number in (1, 2)]
        threads = [threading.Thread(target=create, args=(server, prefix)) for server, prefix in zip(servers, "ab", strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({port for _, port in made}) == len({ip for ip, _ in made}) == 50


def test_a_server_whose_disk_was_wiped_is_the_same_again_with_the_token(tmp_path):
    endpoint = fresh_endpoint("postgres")
    with ExitStack() as stack:
        before = start(stack, tmp_path, endpoint, 1)
        files = {name: (before.folder / "data/server/tls" / name).read_bytes() for name in ("server-ca.crt", "client-ca.key", "service.key")}
        status, _ = api(before).ask("POST", "/api/v1/namespaces/default/secrets", secret("kept"))
        assert status == 201
        admin = tmp_path / "admin"
        shutil.copytree(before.folder / "data/server/tls", admin)
    shutil.rmtree(tmp_path / "s1")
    with ExitStack() as stack:
        after = start(stack, tmp_path, endpoint, 1)
        assert {name: (after.folder / "data/server/tls" / name).read_bytes() for name in files} == files
        old = Api(after.url, ca=admin / "server-ca.crt", certificate=admin / "client-admin.crt", key=admin / "client-admin.key")
        assert old.ask("GET", "/api/v1/namespaces/default/secrets/kept")[0] == 200, "kubeconfigs of before count"
