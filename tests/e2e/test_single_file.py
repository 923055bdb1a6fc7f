"""The single file on a machine that has only busybox: installed without internet, started, joined, replaced, removed.

K3PY_TEST_SINGLE_FILE names the file (tests/run builds it with packaging/build).
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.busybox_node import BusyboxNode
from tests.support.busybox_root import busybox_root
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT

FILE = os.environ.get("K3PY_TEST_SINGLE_FILE", "")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not FILE, reason="K3PY_TEST_SINGLE_FILE is not set"),
]

@pytest.fixture(scope="module")
def root():
    with busybox_root() as root:
        yield root


@pytest.fixture
def lab():
    with Lab() as lab:
        for source in (FILE, PROJECT / "install.sh"):
            shutil.copy(source, lab.shared / Path(source).name)
        (lab.shared / Path(FILE).name).rename(lab.shared / "k3py")
        digest = subprocess.run(["sha256sum", "k3py"], cwd=lab.shared, check=True, capture_output=True, text=True).stdout
        (lab.shared / "k3py.sha256").write_text(digest)
        yield lab


@pytest.fixture
def node(lab, root):
    return BusyboxNode(lab.add_node("n1", lower=str(root)), lab)


def test_from_the_file_to_a_running_container_and_back_to_nothing(node):
    before = node.leftovers()
    installed = node.install()
    assert "the node is Ready" in installed.stdout
    line = re.search(r"k3py kubectl apply .*", installed.stdout)[0]
    node.run("/bin/sh", "-c", line)
    node.kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=60s")
    assert node.kubectl("exec", "hello", "--", "wget", "-q", "-O-", "http://127.0.0.1:8080/").stdout == "Hello from k3py.\n"
    assert "containerd://" in node.kubectl("get", "nodes", "-o", "wide").stdout
    assert "hello" in node.run("ctr", "containers", "list").stdout
    # Nothing of it comes from the machine.
    programs = node.run("/bin/sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert re.search(r"/var/lib/k3py/data/[0-9a-f]{32}/bin/containerd ", programs)
    first = node.server_pid()
    node.install()
    assert node.server_pid() == first
    node.install("--node-label=place=roof")
    assert node.server_pid() != first
    assert "place: roof" in node.kubectl("get", "node", "n1", "-o", "yaml").stdout
    assert re.search(r"^hello +1/1 +Running +0 ", node.kubectl("get", "pods").stdout, re.MULTILINE)
    node.run("k3py-uninstall.sh")
    mount_points = {"/etc/k3py", "/var/lib/k3py"}  # the lab's
    assert node.leftovers() - before - mount_points == set()


def test_an_agent_joins_by_the_installer(node, lab, root):
    node.install("--disable-agent")
    token = node.run("cat", "/var/lib/k3py/server/node-token").stdout.strip()
    second = BusyboxNode(lab.add_node("n2", lower=str(root)), lab)
    joined = second.install(env={"K3PY_URL": f"https://{node.address}:6443", "K3PY_TOKEN": token})
    assert "the agent's node n2 is Ready" in joined.stdout
    assert re.search(r"^n2 +Ready ", node.kubectl("get", "nodes").stdout, re.MULTILINE)
    assert second.run("stat", "-c", "%a", "/etc/k3py/k3py.env").stdout == "600\n"
    assert second.run("test", "-e", "/usr/local/bin/k3py-agent-uninstall.sh").returncode == 0
    node.kubectl("apply", "-f", "/usr/local/lib/k3py/examples/hello.yaml")
    node.kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=60s")
    second.run("k3py-agent-uninstall.sh")
    assert second.pids("[k]3py|[c]ontainerd") == []


def test_bad_files_and_settings_are_told_and_change_nothing(node):
    before = node.leftovers()
    done = node.install(env={"INSTALL_K3PY_SHA256": "0" * 64}, check=False)
    assert done.returncode == 1
    assert re.search(r"error: .*/k3py: its sha256 is [0-9a-f]{64}, must be 0{64}; nothing was changed$", done.stderr.strip())
    done = node.install(env={"INSTALL_K3PY_URL": "/nowhere/k3py"}, check=False)
    assert done.returncode == 1
    assert "cannot get the checksum /nowhere/k3py.sha256" in done.stderr
    done = node.install(env={"INSTALL_K3PY_URL": "", "INSTALL_K3PY_CHANEL": "x"}, check=False)
    assert done.returncode == 2
    assert "INSTALL_K3PY_CHANEL is not known" in done.stderr
    assert "INSTALL_K3PY_URL: must say where the single file is" in done.stderr
    done = node.install(env={"INSTALL_K3PY_NAME": "a b"}, check=False)
    assert done.returncode == 2
    done = node.install(env={"INSTALL_K3PY_SKIP_DOWNLOAD": "true", "INSTALL_K3PY_URL": ""}, check=False)
    assert "/usr/local/bin/k3py is missing" in done.stderr
    assert {path for path in node.leftovers() - before if "k3py" in path} <= {"/usr/local/lib/k3py"}
    done = node.install("--https-listen-port=0", check=False)
    assert done.returncode == 2
    assert "--https-listen-port: '0': must be a port" in done.stderr
    assert node.run("test", "-e", "/usr/local/bin/k3py", check=False).returncode == 1


def test_a_damaged_file_and_a_folder_without_programs_are_told(node):
    node.run("cp", f"{node.shared}/k3py", "/root/k3py")
    node.run("/bin/sh", "-c", "printf x | dd of=/root/k3py bs=1 seek=5000000 conv=notrunc 2>/dev/null")
    done = node.run("/root/k3py", "--version", check=False)
    assert done.returncode == 1
    assert re.match(r"k3py: /root/k3py is damaged \(sha256 of its content .*\): get it again$", done.stderr.strip())
    assert node.run("/bin/sh", "-c", "ls -A /var/lib/k3py/data").stdout == ""
    node.run("/bin/sh", "-c", "mkdir /noexec && mount -t tmpfs -o noexec tmpfs /noexec")
    done = node.run(f"{node.shared}/k3py", "--version", check=False, env={"K3PY_DATA_DIR": "/noexec"})
    assert done.returncode == 1
    assert "programs cannot run below /noexec/data (is it mounted noexec?)" in done.stderr
    node.run("/bin/sh", "-c", "mkdir /tiny && mount -t tmpfs -o size=20m tmpfs /tiny")
    done = node.run(f"{node.shared}/k3py", "--version", check=False, env={"K3PY_DATA_DIR": "/tiny"})
    assert re.search(r"/tiny/data has \d+ KiB free, k3py needs \d+ KiB there \(--data-dir\)", done.stderr)
    assert node.run("ls", "-A", "/tiny/data").stdout == ""
