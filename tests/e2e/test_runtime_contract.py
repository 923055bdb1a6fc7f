"""The contract of runtimes (tests/contract/test_runtime.py) on a real containerd in a lab node."""

from __future__ import annotations

import os

import pytest

from k3py.runtime.cri import CriRuntime
from tests.contract.test_runtime import *  # noqa: F403 - the tests themselves
from tests.support.lab.runtime import SOCKET, node_with_containerd

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture(scope="module")
def node():
    with node_with_containerd() as made:
        yield made


@pytest.fixture
def tmp_path(node, tmp_path_factory):
    """A folder that the node sees at the same path."""
    folder = node.shared / tmp_path_factory.mktemp("test").name
    folder.mkdir()
    return folder


@pytest.fixture
async def runtime(node):
    made = CriRuntime(node.path(SOCKET))
    yield made
    for sandbox in await made.list_pod_sandboxes():
        await made.stop_pod_sandbox(sandbox["id"])
        await made.remove_pod_sandbox(sandbox["id"])
    made.close()
