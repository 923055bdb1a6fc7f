"""The packages made of the single file: the Debian package on a bare Debian, the container image in containerd."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.debian import Unavailable, bare_machine
from tests.support.lab.node import PROJECT

FILE = os.environ.get("K3PY_TEST_SINGLE_FILE", "")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not FILE, reason="K3PY_TEST_SINGLE_FILE is not set"),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, PROJECT / "packaging/build_packages.py", "--file", FILE, "--out", folder]
    subprocess.run(command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
    return folder


def test_each_has_its_checksum_and_its_list_of_parts_and_the_same_input_makes_the_same_bytes(packages, tmp_path):
    archives = [*packages.glob("*.deb"), *packages.glob("*.tar")]
    assert len(archives) == 2
    for archive in archives:
        subprocess.run(["sha256sum", "-c", f"{archive.name}.sha256"], cwd=packages, check=True, stdout=subprocess.DEVNULL)
        assert "k3py" in (packages / f"{archive.name}.spdx.json").read_text()
    command = [sys.executable, PROJECT / "packaging/build_packages.py", "--file", FILE, "--out", tmp_path]
    subprocess.run(command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
    for archive in archives:
        assert (tmp_path / f"{archive.name}.sha256").read_text() == (packages / f"{archive.name}.sha256").read_text()


def test_the_debian_package_installs_runs_and_goes_without_a_trace(packages):
    (package,) = packages.glob("*.deb")
    traces = ["find", "/usr/bin", "/lib/systemd", "/etc", "/var/lib", "-name", "*k3py*", "-not", "-path", "/var/lib/dpkg/*"]
    try:
        with bare_machine() as machine:
            before = machine.run(traces).stdout
            (Path(machine.lower.split(":")[0]) / "root").mkdir(exist_ok=True)
            shutil.copy(package, Path(machine.lower.split(":")[0]) / "root/k3py.deb")
            installed = machine.run(["dpkg", "--install", "/root/k3py.deb"])
            assert installed.returncode == 0, installed.stderr
            assert machine.run(["k3py", "--version"]).stdout.startswith("k3py version v")
            unit = machine.run(["cat", "/lib/systemd/system/k3py-agent.service"]).stdout
            assert "ExecStart=/usr/bin/k3py agent\n" in unit
            assert "EnvironmentFile=-/etc/k3py/k3py-agent.env" in unit
            assert "@" not in unit + machine.run(["cat", "/usr/bin/k3py-killall.sh"]).stdout.replace('"$@"', "").replace("@.*", "")
            purged = machine.run(["dpkg", "--purge", "k3py"])
            assert purged.returncode == 0, purged.stderr
            assert machine.run(traces).stdout == before
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_the_image_is_loaded_by_containerd_and_runs(packages, server):
    (image,) = packages.glob("*.tar")
    shutil.copy(image, server.node.shared / "image.tar")
    ctr = ["ctr", "--address", "/run/k3py/containerd/containerd.sock", "--namespace", "packages"]
    try:
        server.node.run([*ctr, "images", "import", str(server.node.shared / "image.tar")], timeout_s=120)
        (name,) = [one for one in server.node.run([*ctr, "images", "list", "-q"]).stdout.split() if "k3py.io/k3py:" in one]
        done = server.node.run([*ctr, "run", "--rm", name, "first", "/usr/bin/k3py", "--version"], timeout_s=120)
        assert done.stdout.startswith("k3py version v")
    finally:
        server.node.run([*ctr, "images", "rm", "--sync", name], check=False)
        (server.node.shared / "image.tar").unlink()
