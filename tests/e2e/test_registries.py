"""Images from a registry with TLS and a password: by its own name, and as a mirror with rewritten names."""

import os
import shutil

import pytest

from k3py.pki.authority import LeafRequest
from tests.support.cluster import Server
from tests.support.lab import Lab
from tests.support.lab.runtime import DATA_DIR, SOCKET, put_busybox
from tests.support.throwaway_pki import make_pki

PROGRAM = os.environ.get("K3PY_TEST_REGISTRY") or shutil.which("docker-registry")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PROGRAM, reason="needs docker-registry (a package of Debian)"),
]

PASSWORD = "s3cret-Word"
HASH = "$2b$05$6e9la9ZoOeVh/Gtdg5D5T.bCeKHxcRsukOBslsmz4mkq3tRN734Xy"
REGISTRY = "127.0.0.1:5000"
SETTINGS = f"""
version: 0.1
storage: {{filesystem: {{rootdirectory: /var/lib/containerd/registry}}}}
http: {{addr: "{REGISTRY}", tls: {{certificate: /etc/k3py/r.crt, key: /etc/k3py/r.key}}}}
auth: {{htpasswd: {{realm: test, path: /etc/k3py/htpasswd}}}}
"""
REGISTRIES = f"""
mirrors:
  docker.io:
    endpoint: ["https://{REGISTRY}"]
    rewrite: {{"^library/(.*)": "mirrored/$1"}}
configs:
  "{REGISTRY}":
    auth: {{username: me, password: {PASSWORD}}}
    tls: {{ca_file: /etc/k3py/ca.crt}}
"""


@pytest.fixture
def server(tmp_path):
    pki = make_pki(tmp_path)
    pki.issue("registry", LeafRequest(common_name="registry", names=("127.0.0.1",), usage="server"))
    with Lab() as lab:
        node = lab.add_node("n1")
        put_busybox(node)
        for name, file in (("ca.crt", "ca.crt"), ("r.crt", "registry.crt"), ("r.key", "registry.key")):
            shutil.copy(tmp_path / file, node.disk / "etc/k3py" / name)
        (node.disk / "etc/k3py/htpasswd").write_text(f"me:{HASH}\n")
        (node.disk / "etc/k3py/registry.yml").write_text(SETTINGS)
        registries = node.disk / "etc/k3py/registries.yaml"
        registries.touch(mode=0o600)
        registries.write_text(REGISTRIES)
        with (node.disk / "var/log/registry.log").open("wb") as log:
            registry = node.popen([PROGRAM, "serve", "/etc/k3py/registry.yml"], stdout=log, stderr=log)
        running = Server(node)
        running.start()
        try:
            running.wait_ready()
            yield running
        finally:
            running.kill()
            registry.terminate()
            registry.wait(timeout=10)


def test_images_of_a_registry_with_a_password(server):
    node = server.node
    ctr = ["ctr", "--address", SOCKET, "-n", "k8s.io", "images"]
    name = f"{REGISTRY}/mirrored/box:1"
    node.run([*ctr, "tag", "docker.io/library/busybox:local", name])
    node.run([*ctr, "push", "--hosts-dir", f"{DATA_DIR}/agent/etc/containerd/certs.d", "--user", f"me:{PASSWORD}", name])
    node.run([*ctr, "rm", name])
    for pod, image in (("direct", name), ("mirrored", "box:1")):
        server.kubectl("run", pod, f"--image={image}", "--image-pull-policy=Always", "--", "sleep", "3600")
    for pod in ("direct", "mirrored"):
        server.until(
            lambda pod=pod: server.get("pod", pod)["status"]["phase"] == "Running", what=f"the pod {pod}"
        )
    images = node.run([*ctr, "ls", "-q"]).stdout.split()
    assert "docker.io/library/box:1" in images
    # a list in the images folder is pulled, and kept
    (node.disk / "var/lib/k3py/agent/images/wanted.txt").write_text("# for later\nmirrored/box:1\n")
    server.until(
        lambda: "docker.io/mirrored/box:1" in node.run([*ctr, "ls", "-q", "labels.\"io.cri-containerd.pinned\"==pinned"]).stdout,
        what="the image of the list",
    )
    # the password is in the file that says it, and nowhere else that others could read
    found = node.run(["grep", "-rlF", PASSWORD, "/var/lib/k3py", "/var/log", "/run/k3py", "/etc/k3py"], check=False)
    assert found.stdout.split() == ["/etc/k3py/registries.yaml"]
    wrong = node.disk / "etc/k3py/registries.yaml"
    wrong.write_text(REGISTRIES.replace(PASSWORD, "wrong"))
    server.stop()
    server.start()
    server.wait_ready()
    server.kubectl("run", "refused", "--image=box:1", "--image-pull-policy=Always", "--", "sleep", "3600")
    server.until(
        lambda: server.get("pod", "refused")["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
        in ("ErrImagePull", "ImagePullBackOff"),
        what="the refusal",
    )
