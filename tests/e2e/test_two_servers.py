"""Two servers: one loses its power for good and its agent goes on with the other; a kubelet that cannot be dialled is reached from both."""

import time
from contextlib import ExitStack

import pytest

from tests.support import databases
from tests.support.cluster import Server, start_agent
from tests.support.lab import Lab
from tests.support.lab.runtime import put_busybox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

IMAGE = "docker.io/library/busybox:local"


def run_pod(server, name):
    server.until(
        lambda: server.kubectl("run", name, f"--image={IMAGE}", "--restart=Never", "--", "sleep", "1000"), what="a pod"
    )
    server.until(lambda: server.get("pod", name)["status"]["phase"] == "Running", limit_s=120, what=f"the pod {name}")
    server.until(lambda: server.kubectl("exec", name, "--", "echo", "hi").stdout == "hi\n", what=f"exec in {name}")


def run_database(stack, lab):
    """Run a PostgreSQL that all nodes of the lab reach; returns the datastore's URL."""
    sockets = lab.shared / "db"
    sockets.mkdir()
    sockets.chmod(0o777)
    lab.folder.chmod(0o711)  # the database runs as nobody
    settings = {"unix_socket_directories": f"{{folder}},{sockets}"}
    database = stack.enter_context(databases.running("postgres", settings))
    return f"postgres://{database.user}@/several?host={sockets}&port={database.port}"


def test_an_agent_outlives_the_server_that_it_joined():
    if not databases.is_installed("postgres"):
        pytest.skip("Debian's package postgresql is not installed")
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        endpoint = run_database(stack, lab)
        nodes = [lab.add_node(name) for name in ("n1", "n2", "n3")]
        put_busybox(nodes[2])
        flags = ("--disable-agent", "--disable=metrics-server", f"--datastore-endpoint={endpoint}", "--token=shared-secret")
        servers = [Server(node, *flags, f"--node-name={node.name}") for node in nodes[:2]]
        first, second = servers
        for server in servers:
            server.start()
            stack.callback(lambda server=server: server.process.poll() is None and server.kill())
            server.until(lambda server=server: server.kubectl("get", "--raw", "/readyz").stdout == "ok", what="readiness")
        url, token = first.url, first.token
        agents = [start_agent(nodes[2], url, token)]
        stack.callback(lambda: [(one.kill(), one.wait(timeout=30)) for one in agents if one.poll() is None])
        log = nodes[2].disk / "var/log/k3py.log"
        second.until(lambda: " Ready" in second.kubectl("get", "node", "n3").stdout, what="the agent")
        second.until(lambda: log.read_text().count("a tunnel to a server stands") >= 2, what="tunnels to both servers")
        run_pod(second, "before")

        nodes[0].kill()  # its power, for good: connections to it end without a word
        gone = time.monotonic()
        run_pod(second, "after")
        print(f"a new pod runs {time.monotonic() - gone:.1f} s after the first server's end")
        assert " Ready" in second.kubectl("get", "node", "n3").stdout

        agents[0].kill()
        agents[0].wait(timeout=30)
        agents.append(start_agent(nodes[2], url, token))
        run_pod(second, "again")
        assert "starting with what is known" not in log.read_text(), "the other server was asked"
        statuses = {one["metadata"]["name"]: one["status"] for one in second.get("pods")["items"]}
        assert {name: one["containerStatuses"][0]["restartCount"] for name, one in statuses.items()} == dict.fromkeys(
            ("before", "after", "again"), 0
        )


def test_servers_reach_each_others_kubelets_through_tunnels():
    if not databases.is_installed("postgres"):
        pytest.skip("Debian's package postgresql is not installed")
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        endpoint = run_database(stack, lab)
        nodes = [lab.add_node("n1"), lab.add_node("n2")]
        put_busybox(nodes[1])
        nodes[1].run(["nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; }"])
        nodes[1].run(["nft", "add rule inet wall in iifname eth0 tcp dport 10250 drop"])
        servers = [Server(node, f"--datastore-endpoint={endpoint}", "--token=shared-secret") for node in nodes]
        for server in servers:
            server.start()
            stack.callback(lambda server=server: server.process.poll() is None and server.kill())
            server.until(lambda server=server: server.kubectl("get", "--raw", "/readyz").stdout == "ok", what="readiness")
        first = servers[0]
        first.until(lambda: first.kubectl("get", "nodes").stdout.count(" Ready ") == 2, what="two Ready nodes")
        overrides = '{"spec":{"nodeName":"n2"}}'
        first.kubectl("run", "p", f"--image={IMAGE}", "--overrides", overrides, "--", "sleep", "1000")
        first.until(lambda: first.get("pod", "p")["status"]["phase"] == "Running", what="the pod")
        first.until(lambda: "k3py_tunnels 1\n" in first.kubectl("get", "--raw", "/metrics").stdout, what="the other's tunnel")
        assert first.kubectl("exec", "p", "--", "hostname").stdout == "p\n"
