"""An archive with Traefik's image comes into the images folder, and the ingress controller is put to work."""

import pytest

from tests.support.lab.runtime import DATA_DIR, SOCKET

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FILE = f"{DATA_DIR}/server/manifests/traefik.yaml"
NAME = "docker.io/library/traefik:v3.5"  # by name only: no registry is at hand


@pytest.fixture
def archive(server):
    """An image of that name in the images folder, and nothing of it left behind."""
    ctr = ["ctr", "--address", SOCKET, "-n", "k8s.io", "images"]
    server.node.run([*ctr, "tag", "k3py.io/hello:1", NAME])
    server.node.run([*ctr, "export", "/var/log/traefik.tar", NAME])
    server.node.run([*ctr, "rm", NAME])
    path = f"{DATA_DIR}/agent/images/traefik.tar"
    server.node.run(["cp", "/var/log/traefik.tar", path])
    yield path
    server.node.run(["touch", f"{FILE}.skip"])
    server.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", FILE)
    server.node.run(["rm", "-f", path, FILE])


def test_traefik_is_put_to_work_when_its_image_comes(server, archive):
    def deployed():
        found = server.kubectl("-n", "kube-system", "get", "addon", "traefik", "-o", "jsonpath={.spec.checksum}", check=False)
        return found.stdout

    server.until(deployed, what="the Addon")
    deployment = server.get("deployment", "traefik", "-n", "kube-system")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == NAME
    assert server.get("ingressclass", "traefik")["spec"]["controller"] == "traefik.io/ingress-controller"

    def addresses():
        status = server.get("service", "traefik", "-n", "kube-system")["status"]["loadBalancer"]
        return [one["ip"] for one in status.get("ingress") or ()]

    server.until(lambda: addresses() == [server.node.address], what="the node's address")
