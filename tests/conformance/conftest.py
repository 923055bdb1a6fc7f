"""One server for all black-box tests, and a namespace for each."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.support.black_box import BlackBox, Kubectl, kubectl_path
from tests.support.played_node import PlayedNode


def pytest_terminal_summary(terminalreporter):
    """Tell how many different kubectl commands ran."""
    if Kubectl.seen:
        verbs = {one.split(" ")[0] for one in Kubectl.seen}
        terminalreporter.write_line(f"kubectl: {len(Kubectl.seen)} different commands of {len(verbs)} kinds ran")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A `k3py server` without a node, and without add-ons that act upon tests' objects."""
    with BlackBox(tmp_path_factory.mktemp("cluster"), "--disable=local-storage,runtimes,servicelb") as running:
        yield running


@pytest.fixture(scope="session")
def played_node(cluster):
    """A node on which every pod runs at once, without containers."""
    with PlayedNode(cluster) as node:
        yield node


@pytest.fixture
def namespace(cluster, request):
    """A namespace of the test's own."""
    theme = request.path.stem.removeprefix("test_").removeprefix("kubectl_")
    name = f"{theme}-{request.node.name.removeprefix('test_')}".lower()
    name = re.sub(r"[^a-z0-9]+", "-", name)[:56].strip("-")
    cluster.make_namespace(name)
    return name


@pytest.fixture(scope="session")
def kubectl_version():
    """The version of kubectl, "" = there is none."""
    if not kubectl_path():
        return ""
    done = subprocess.run([kubectl_path(), "version", "--client", "-o", "json"], capture_output=True, check=True)
    return json.loads(done.stdout)["clientVersion"]["gitVersion"]


@pytest.fixture
def kubectl(cluster, namespace, kubectl_version):
    """The real kubectl as the administrator, in the test's namespace."""
    if not kubectl_version.startswith("v1.35."):
        pytest.skip(f"needs a kubectl of v1.35, not {kubectl_version or 'none'}: tests/support/kubectl/build makes one")
    return Kubectl(cluster.kubeconfig, namespace)
