"""Three servers on a managed etcd and an agent: power cuts under a load of writes, a member that leaves with its Node, a snapshot restored."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.support.cluster import Server, start_agent
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT
from tests.support.lab.runtime import put_busybox

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed (Debian: etcd-server)"),
]

TLS = "/var/lib/k3py/server/tls"
IMAGE = "docker.io/library/busybox:local"


class Cluster:
    """The lab, its servers by name, and the agent."""

    def __init__(self, lab):
        self.lab = lab
        self.servers = {name: Server(lab.add_node(name), "--cluster-init") for name in ("n1",)}
        self.first = self.servers["n1"]
        self.first.start()
        self.first.wait_ready()
        self.token = self.first.node.run(["cat", "/var/lib/k3py/server/token"]).stdout.strip()
        url = f"https://{self.first.node.address}:6443"
        for name in ("n2", "n3"):
            node = lab.add_node(name)
            (node.disk / "etc/k3py").mkdir(parents=True, exist_ok=True)
            (node.disk / "etc/k3py/token").write_text(self.token)
            self.servers[name] = Server(node, f"--server={url}", "--token-file=/etc/k3py/token")
            self.servers[name].start()
        worker = lab.add_node("w1")
        put_busybox(worker)
        self.agent = start_agent(worker, url, self.token)
        self.wait_nodes(4)

    def wait_nodes(self, count, asked="n1"):
        server = self.servers[asked]
        server.until(lambda: server.kubectl("get", "nodes").stdout.count(" Ready ") == count, limit_s=180, what=f"{count} Ready nodes")

    def wait_answer(self, name):
        server = self.servers[name]
        server.until(lambda: server.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", limit_s=120, what=f"{name} to be ready")

    def write(self, name, what):
        server = self.servers[name]
        server.until(lambda: server.kubectl("create", "configmap", what, check=False, timeout_s=20).returncode == 0, limit_s=120, what=what)

    def members(self, asked="n1"):
        node = self.servers[asked].node
        password = self.token.rpartition(":")[2]
        script = f"exec curl -fsS --cacert {TLS}/server-ca.crt -u server:{password} https://127.0.0.1:6443/db/info"
        found = json.loads(node.run(["sh", "-c", script]).stdout)["members"]
        return {one["name"].rpartition("-")[0]: one for one in found}


@pytest.fixture(scope="module")
def cluster():
    with Lab() as lab:
        made = Cluster(lab)
        try:
            yield made
        finally:
            for process in (made.agent, *(one.process for one in made.servers.values())):
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait(30)


def test_members_show_on_their_nodes(cluster):
    first = cluster.first
    first.until(lambda: len(cluster.members()) == 3, what="three members")
    for name, member in cluster.members().items():
        assert not member.get("isLearner")
        node = first.until(lambda name=name: marked(first.get("node", name)), what=f"the mark on {name}")
        assert node["metadata"]["annotations"]["etcd.k3s.cattle.io/node-name"] == member["name"]
        assert node["metadata"]["labels"]["node-role.kubernetes.io/etcd"] == "true"
    assert not marked(first.get("node", "w1"))


def marked(node):
    conditions = {one["type"]: one["status"] for one in node["status"]["conditions"]}
    return node if conditions.get("EtcdIsVoter") == "True" else None


def test_no_acknowledged_write_is_lost_when_the_power_of_each_server_is_cut_in_turn(cluster):
    shared = cluster.lab.shared
    subprocess.run(["cp", "-r", cluster.first.node.path(TLS), shared / "tls"], check=True)
    addresses = [one.node.address for one in cluster.servers.values()]
    worker, out = cluster.lab.nodes["w1"], shared / "load.json"
    files = [f"--ca={shared}/tls/server-ca.crt", f"--certificate={shared}/tls/client-admin.crt", f"--key={shared}/tls/client-admin.key"]
    urls = [f"https://{one}:6443" for one in addresses]
    load = worker.popen([sys.executable, "-m", "tests.support.write_load", *files, f"--out={out}", *urls], cwd=PROJECT)
    try:
        for name, server in cluster.servers.items():
            others = [one for one in cluster.servers if one != name]
            cluster.write(others[0], f"before-{name}")
            cluster.lab.restart_node(server.node)
            server.process.wait(30)
            cluster.write(others[1], f"without-{name}")  # the other two go on, with another leader if it was this one
            server.start()
            cluster.wait_answer(name)
        load.terminate()
        assert load.wait(60) == 0
    finally:
        if load.poll() is None:
            load.kill()
    endpoints = ",".join(f"https://{one}:2379" for one in addresses)
    done = worker.python("-m", "tests.support.etcd_history", str(shared / "tls"), endpoints, str(out), timeout_s=120)
    summary = json.loads(done.stdout)
    print(
        f"{summary['acknowledged']} acknowledged writes, {len(summary['lost'])} lost; longest write outage {summary['longest_s']:.2f} s; "
        f"{summary['revisions']} revisions read back"
    )
    assert summary["acknowledged"] > 0
    assert summary["lost"] == []
    cluster.wait_nodes(4)


def test_a_deleted_node_takes_its_member_along_and_may_come_back(cluster):
    first, third = cluster.first, cluster.servers["n3"]
    old = cluster.members()["n3"]
    first.kubectl("delete", "node", "n3", timeout_s=120)
    assert set(cluster.members()) == {"n1", "n2"}
    assert third.process.wait(60) == 1
    assert "was removed from the cluster" in third.log_tail()
    third.start()
    cluster.wait_answer("n3")
    assert set(cluster.members()) == {"n1", "n2", "n3"}
    assert cluster.members()["n3"]["name"] != old["name"]
    cluster.wait_nodes(4)


def test_they_come_back_after_a_power_cut_of_all_servers_at_once(cluster):
    cluster.write("n1", "written-before-the-cut")
    for server in cluster.servers.values():
        server.node.kill()
    for server in cluster.servers.values():
        server.process.wait(30)
        cluster.lab.restart_node(server.node)
        server.start()
    for name in cluster.servers:
        cluster.wait_answer(name)
    assert cluster.servers["n2"].kubectl("get", "configmap", "written-before-the-cut").returncode == 0
    cluster.wait_nodes(4)


def test_a_snapshot_is_restored_and_the_others_join_again(cluster):
    first = cluster.first
    first.kubectl("create", "configmap", "before", "--from-literal=a=b")
    saved = first.node.python("-m", "k3py", "etcd-snapshot", "save", "--name=e2e").stdout
    name = saved.split()[1]
    first.kubectl("create", "configmap", "after")
    for server in cluster.servers.values():
        code = server.stop()
        assert code == 0, server.log_tail()
    path = f"/var/lib/k3py/server/db/snapshots/{name}"
    done = first.node.python(
        "-m", "k3py", "server", f"--node-ip={first.node.address}", "--cluster-reset", f"--cluster-reset-restore-path={path}", check=False, timeout_s=120
    )
    assert done.returncode == 0, done.stderr
    assert "restored the datastore" in done.stderr
    first.start()
    cluster.wait_answer("n1")
    assert set(cluster.members()) == {"n1"}
    assert first.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.a}").stdout == "b"
    assert first.kubectl("get", "configmap", "after", check=False).returncode == 1
    for other in ("n2", "n3"):
        server = cluster.servers[other]
        server.node.run(["rm", "-rf", "/var/lib/k3py/server/db"])
        server.start()
    for other in ("n2", "n3"):
        cluster.wait_answer(other)
    assert set(cluster.members()) == {"n1", "n2", "n3"}
    cluster.wait_nodes(4)
    # The agent, which has seen more revisions than there are now, takes new pods.
    overrides = json.dumps({"spec": {"nodeName": "w1"}})
    first.kubectl("run", "new", f"--image={IMAGE}", f"--overrides={overrides}", "--", "sleep", "100000")
    first.kubectl("wait", "--for=condition=Ready", "pod/new", "--timeout=90s", timeout_s=100)


def test_the_last_server_goes_on_alone_when_the_others_are_lost_for_good(cluster):
    first = cluster.first
    for name in ("n2", "n3"):
        cluster.servers[name].node.kill()
        cluster.servers[name].process.wait(30)
    first.kill()
    first.process.wait(30)
    command = ["-m", "k3py", "server", f"--node-ip={first.node.address}", "--cluster-reset"]
    done = first.node.python(*command, check=False, timeout_s=120)
    assert (done.returncode, "only member of its etcd" in done.stderr) == (0, True), done.stderr
    again = first.node.python(*command, check=False)
    assert (again.returncode, "start the server without --cluster-reset first" in again.stderr) == (1, True)
    first.start()
    cluster.wait_answer("n1")
    assert set(cluster.members()) == {"n1"}
    assert first.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.a}").stdout == "b"
    cluster.write("n1", "alone")
