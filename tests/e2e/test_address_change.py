"""All machines get other addresses while they run: nothing is installed or started again, pods go on and reach each other, exec works."""

import sys

import pytest

from tests.support.cluster import Server, start_agent
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT
from tests.support.lab.runtime import put_busybox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

IMAGE = "docker.io/library/busybox:local"
SCRIPT = "hostname >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"


class RoamingServer(Server):
    """Finds its own address."""

    def start(self):
        command = [sys.executable, "-m", "k3py", "server", *self.flags]
        with self.log.open("ab") as log:
            self.process = self.node.popen(command, cwd=PROJECT, stdout=log, stderr=log)


def move(lab, node, address):
    """Give a machine another address, as a DHCP server would, and its name to all."""
    node.run(["ip", "address", "flush", "dev", "eth0", "scope", "global"])
    node.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    node.run(["ip", "route", "replace", "default", "via", "192.168.77.1"])
    node.address = address
    hosts = "".join(f"{other.address} {other.name}\n" for other in lab.nodes.values())
    for other in lab.nodes.values():
        other.path("/etc/hosts").write_text("127.0.0.1 localhost\n" + hosts)


def internal_ips(server):
    return {
        one["metadata"]["name"]: next(a["address"] for a in one["status"]["addresses"] if a["type"] == "InternalIP")
        for one in server.get("nodes")["items"]
    }


def pod(server, node):
    overrides = f'{{"spec":{{"nodeName":"{node}"}}}}'
    server.kubectl("run", f"on-{node}", f"--image={IMAGE}", "--overrides", overrides, "--", "sh", "-c", SCRIPT)


def reaches(server, here, there):
    address = server.get("pod", f"on-{there}")["status"]["podIP"]
    command = ["exec", f"on-{here}", "--", "timeout", "3", "wget", "-q", "-O", "-", f"http://{address}:8080/"]
    return server.kubectl(*command, check=False).stdout.strip() == f"on-{there}"


def starts(server):
    found = {}
    for one in server.get("pods")["items"]:
        status = one["status"]["containerStatuses"][0]
        found[one["metadata"]["name"]] = (one["metadata"]["uid"], status["containerID"], status["restartCount"])
    return found


def test_addresses_of_all_machines_change_and_nothing_else_does():
    with Lab() as lab:
        first, second, third = (lab.add_node(name) for name in ("n1", "n2", "n3"))
        for node in (first, second, third):
            put_busybox(node)
        server = RoamingServer(first)
        server.start()
        server.wait_ready()
        token = first.run(["cat", "/var/lib/k3py/server/node-token"]).stdout.strip()
        agents = [start_agent(node, "https://n1:6443", token) for node in (second, third)]
        try:
            server.until(lambda: server.kubectl("get", "nodes").stdout.count(" Ready ") == 3, what="three Ready nodes")
            for name in ("n1", "n2", "n3"):
                pod(server, name)
            server.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s", timeout_s=70)
            server.until(lambda: reaches(server, "n2", "n3") and reaches(server, "n1", "n2"), what="pods that reach each other")
            before = starts(server)

            # One agent moves: everybody else stays where they are.
            move(lab, second, "192.168.77.52")
            server.until(lambda: internal_ips(server)["n2"] == "192.168.77.52", what="the agent's new address")
            server.until(lambda: reaches(server, "n3", "n2") and reaches(server, "n2", "n1"), what="pods of the node that moved")

            # Then all the others, the server too.
            move(lab, third, "192.168.77.53")
            move(lab, first, "192.168.77.51")
            wanted = {"n1": "192.168.77.51", "n2": "192.168.77.52", "n3": "192.168.77.53"}
            server.until(lambda: internal_ips(server) == wanted, limit_s=120, what="everybody's new address")
            server.until(lambda: server.kubectl("get", "nodes").stdout.count(" Ready ") == 3, limit_s=120, what="three Ready nodes again")
            for here, there in (("n1", "n2"), ("n2", "n3"), ("n3", "n1")):
                server.until(lambda here=here, there=there: reaches(server, here, there), what=f"a pod on {there}, from {here}")
            slices = server.get("endpointslice", "kubernetes")["endpoints"]
            assert [one["addresses"] for one in slices] == [["192.168.77.51"]]
            server.until(lambda: server.get("pod", "on-n2")["status"]["hostIP"] == "192.168.77.52", what="the pods' host addresses")
            assert starts(server) == before, "a pod was started for nothing"
            # The certificates hold the new names.
            for node, port in ((first, 6443), (second, 10250)):
                shown = third.run(["bash", "-c", f"openssl s_client -connect {node.address}:{port} </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName"]).stdout
                assert f"IP Address:{node.address}" in shown
        except BaseException:
            for node in (second, third):
                print(f"{node.name}:\n{(node.disk / 'var/log/k3py.log').read_text()[-6000:]}")
            raise
        finally:
            for agent in agents:
                if agent.poll() is None:
                    agent.kill()
                    agent.wait(timeout=30)
            server.kill()
