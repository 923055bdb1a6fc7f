"""Another version of the single file over a running one: pods go on, and whatever is cut off on the way leaves the old version running."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.busybox_node import BusyboxNode
from tests.support.busybox_root import busybox_root
from tests.support.file_variant import hash_of, make_variant
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT

FILE = os.environ.get("K3PY_TEST_SINGLE_FILE", "")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not FILE, reason="K3PY_TEST_SINGLE_FILE is not set"),
]

SUPERVISE = "/usr/local/lib/k3py/k3py-supervise.sh"
READY = "until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 0.2; done"


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """A folder with `k3py`, and `newer`, whose tree has another hash."""
    folder = tmp_path_factory.mktemp("versions")
    shutil.copy(FILE, folder / "k3py")
    shutil.copy(f"{FILE}.sha256", folder / "k3py.sha256")
    make_variant(folder / "k3py", folder / "newer", "newer")
    shutil.copy(PROJECT / "install.sh", folder / "install.sh")
    return folder


@pytest.fixture(scope="module")
def root():
    with busybox_root() as root:
        yield root


@pytest.fixture
def node(versions, root):
    with Lab() as lab:
        for source in versions.iterdir():
            shutil.copy(source, lab.shared / source.name)
        node = BusyboxNode(lab.add_node("n1", lower=str(root)), lab)
        installed = node.install()
        node.run("/bin/sh", "-c", re.search(r"k3py kubectl apply .*", installed.stdout)[0])
        node.kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=60s")
        yield node


def identity(node):
    """The pod's container and how often it was restarted."""
    return node.kubectl("get", "pod", "hello", "-o", "jsonpath={.status.containerStatuses[0]['containerID','restartCount']}").stdout


def trees(node):
    return set(node.run("ls", "/var/lib/k3py/data").stdout.split())


def age(node, name):
    """Make a tree look as if it had lain there since yesterday."""
    node.run("touch", "-d", "2025-01-01 00:00:00", f"/var/lib/k3py/data/{name}")


def test_pods_outlive_an_upgrade_and_the_way_back_and_unused_programs_go(node, versions):
    old, new = hash_of(versions / "k3py"), hash_of(versions / "newer")
    before, first = identity(node), node.server_pid()
    age(node, old)
    said = node.install(file="newer")
    assert "the node is Ready" in said.stdout
    assert node.server_pid() != first
    assert identity(node) == before
    # The pod's shim still runs from the old tree; exec and logs go through both.
    assert trees(node) == {old, new}
    assert node.kubectl("exec", "hello", "--", "wget", "-q", "-O-", "http://127.0.0.1:8080/").stdout == "Hello from k3py.\n"
    node.kubectl("logs", "hello")
    # A pod from before ends, and one of the new version starts.
    node.kubectl("delete", "pod", "hello", "--grace-period=1")
    node.run("/bin/sh", "-c", f"until ! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q {old}; do sleep 0.1; done", timeout_s=60)
    age(node, old)
    node.run(SUPERVISE, "restart", "/usr/local/bin/k3py", "server")
    node.run("/bin/sh", "-c", READY, timeout_s=60)
    assert trees(node) == {new}
    node.kubectl("apply", "-f", "/usr/local/lib/k3py/examples/hello.yaml")
    node.kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=60s")
    before = identity(node)
    # And back again.
    assert "the node is Ready" in node.install(file="k3py").stdout
    assert identity(node) == before
    assert trees(node) == {old, new}
    assert node.kubectl("exec", "hello", "--", "true").returncode == 0


STEPS = ("check_settings", "check_machine", "fetch_file", "read_settings", "install_program", "install_images", "install_service", "start_service")


def test_an_installer_killed_at_any_step_leaves_the_old_version_running(node, versions):
    before, first = identity(node), node.server_pid()
    script = (versions / "install.sh").read_text()
    # In the middle of the copy: what is half there is not taken for the program.
    cut = script.replace('*) cp "${1#file://}" "$2" ;;', '*.sha256) cp "$1" "$2" ;; *) head -c 9000000 "$1" >"$2"; kill -KILL $$ ;;')
    assert cut != script
    (node.shared / "cut.sh").write_text(cut)
    node.install(file="newer", script="cut.sh", check=False)
    assert node.server_pid() == first
    for step in STEPS:
        # The step's call at the end of the script; fetch_file's is indented.
        cut, count = re.subn(rf"(?m)^( *{step}\b(?! *\(\)).*)$", r"kill -KILL $$\n\1", script)
        assert count == 1, step
        (node.shared / "cut.sh").write_text(cut)
        node.install(file="newer", script="cut.sh", check=False)
        assert node.server_pid() == first, step
        assert identity(node) == before, step
    # Whatever it left is no hindrance: it can be started again, and installed for good.
    node.run(SUPERVISE, "restart", "/usr/local/bin/k3py", "server")
    node.run("/bin/sh", "-c", READY, timeout_s=60)
    assert identity(node) == before
    assert "the node is Ready" in node.install(file="newer").stdout
    assert identity(node) == before
    assert hash_of(Path(node.path("/usr/local/bin/k3py"))) == hash_of(versions / "newer")
    assert node.run("ls", "-A", "/usr/local/bin").stdout.split() == sorted(
        ["ctr", "k3py", "k3py-killall.sh", "k3py-uninstall.sh", "kubectl"]
    )


def test_a_power_cut_while_unpacking_and_a_full_disk_leave_the_old_version_whole(node, versions):
    before, first = identity(node), node.server_pid()
    new = hash_of(versions / "newer")
    for pause in ("0.1", "0.6", "1.2"):
        cut = f"{node.shared}/newer --version >/dev/null 2>&1 & sleep {pause}; kill -KILL $! 2>/dev/null; true"
        node.run("/bin/sh", "-c", cut)
    done = node.run(f"{node.shared}/newer", "--version")
    assert done.stdout.startswith("k3py version")
    assert {name for name in trees(node) if name.startswith(".new")} == set()
    node.run("rm", "-rf", f"/var/lib/k3py/data/{new}")
    # A disk without room for the new tree: the installer says so and touches nothing.
    node.run("/bin/sh", "-c", "mkdir -p /small && mount -t tmpfs -o size=60m tmpfs /small")
    refused = node.install("--data-dir=/small", file="newer", check=False)
    assert refused.returncode == 1
    assert re.search(r"/small/data has \d+ KiB free, k3py needs \d+ KiB there", refused.stderr)
    assert node.server_pid() == first
    assert identity(node) == before
