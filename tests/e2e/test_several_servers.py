"""Three servers on one PostgreSQL and an agent, under a load of writes, each server killed in turn: nothing acknowledged is lost, the agent goes on."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack

import pytest

from k3py.datastore.factory import open_backend
from tests.support import databases
from tests.support.cluster import Server, start_agent
from tests.support.history.watches import check_log
from tests.support.history.workload import log_of
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT
from tests.support.lab.runtime import put_busybox
from tests.support.write_load import find_lost

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

IMAGE = "docker.io/library/busybox:local"
LEASE = ("lease", "kube-controller-manager", "-n", "kube-system")
TOKEN = "shared-secret"


def start_load(node, servers, out):
    """Start clients in a node, as the administrator at all servers."""
    tls = "/var/lib/k3py/server/tls"
    for name in ("server-ca.crt", "client-admin.crt", "client-admin.key"):
        source = servers[0].node.disk / f"{tls}/{name}".lstrip("/")
        (node.disk / "etc/k3py" / name).write_bytes(source.read_bytes())
    files = ["--ca=/etc/k3py/server-ca.crt", "--certificate=/etc/k3py/client-admin.crt", "--key=/etc/k3py/client-admin.key"]
    command = [sys.executable, "-m", "tests.support.write_load", *files, f"--out={out}", *(one.url for one in servers)]
    return node.popen(command, cwd=PROJECT)


async def test_each_server_is_killed_in_turn_under_a_load_of_writes():
    if not databases.is_installed("postgres"):
        pytest.skip("Debian's package postgresql is not installed")
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        sockets = lab.shared / "db"
        sockets.mkdir()
        sockets.chmod(0o777)
        lab.folder.chmod(0o711)  # the database runs as nobody
        database = stack.enter_context(
            databases.running("postgres", {"unix_socket_directories": f"{{folder}},{sockets}"})
        )
        endpoint = f"postgres://{database.user}@/several?host={sockets}&port={database.port}"
        nodes = [lab.add_node(name) for name in ("n1", "n2", "n3", "n4")]
        put_busybox(nodes[3])
        flags = ("--disable-agent", "--disable=metrics-server", f"--datastore-endpoint={endpoint}", f"--token={TOKEN}")
        servers = [Server(node, *flags, f"--node-name={node.name}") for node in nodes[:3]]
        for number, server in enumerate(servers):
            server.start()
            stack.callback(lambda server=server: server.process.poll() is None and server.kill())
            server.until(
                lambda server=server, number=number: len(addresses(server)) == number + 1, what="one more server"
            )
        agent = start_agent(nodes[3], servers[0].url, servers[0].token)
        stack.callback(lambda: (agent.kill(), agent.wait(timeout=30)))
        servers[1].until(lambda: " Ready" in servers[1].kubectl("get", "node", "n4").stdout, what="the agent")
        out = lab.shared / "load.json"
        load = start_load(nodes[3], servers, out)
        run_pod(servers[1], "before")
        for killed, other in zip(servers, servers[1:] + servers[:1], strict=True):
            leader = holder(other)
            killed.kill()
            if leader.startswith(f"{killed.node.name}_"):
                other.until(lambda other=other, leader=leader: holder(other) not in ("", leader), what="another leader")
            run_pod(other, f"after-{killed.node.name}")
            assert other.kubectl("exec", "before", "--", "echo", "alive").stdout == "alive\n"
            killed.start()
            killed.until(lambda killed=killed: killed.kubectl("get", "--raw", "/readyz").stdout == "ok", what="readiness")
        load.terminate()
        assert load.wait(timeout=60) == 0
        assert servers[0].get("pod", "before")["status"]["containerStatuses"][0]["restartCount"] == 0
        result = json.loads(out.read_text())
        async with open_backend(
            f"postgres://{database.user}@/several?host={database.folder}&port={database.port}", history_s=None
        ) as backend:
            log = await log_of(backend)
        check_log(log)
        lost = find_lost(result["acknowledged"], log)
        print(f"{len(result['acknowledged'])} acknowledged writes, {len(lost)} lost; longest write outage {result['longest_s']:.2f} s")
        assert result["acknowledged"]
        assert not lost


def addresses(server):
    subsets = server.get("endpoints", "kubernetes", "-n", "default")["subsets"]
    return {one["ip"] for subset in subsets for one in subset["addresses"]}


def holder(server):
    return server.get(*LEASE)["spec"]["holderIdentity"]


def run_pod(server, name):
    """A pod runs on the agent: controllers, scheduler and kubelet all reach a server."""
    server.until(
        lambda: server.kubectl("run", name, f"--image={IMAGE}", "--restart=Never", "--", "sleep", "1000"), what="a pod"
    )
    server.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout_s=70)
