"""One server for all black-box tests, and a namespace for each."""

from __future__ import annotations

import re

import pytest

from tests.support.black_box import BlackBox, Kubectl, kubectl_path
from tests.support.played_node import PlayedNode


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A `k3py server` without a node."""
    with BlackBox(tmp_path_factory.mktemp("cluster")) as running:
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


@pytest.fixture
def kubectl(cluster, namespace):
    """The real kubectl as the administrator, in the test's namespace."""
    if not kubectl_path():
        pytest.skip("kubectl is not installed")
    return Kubectl(cluster.kubeconfig, namespace)
