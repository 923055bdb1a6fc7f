"""One server for all scenarios that do not break it."""

from __future__ import annotations

import pytest

from tests.support.cluster import running_server


@pytest.fixture(scope="session")
def server():
    with running_server() as running:
        yield running


@pytest.fixture
def namespace(server, request):
    """A namespace of the test's own, deleted (and seen to go) afterwards."""
    name = request.node.name.lower().replace("_", "-").replace("[", "-").replace("]", "")[:50].strip("-")
    server.kubectl("create", "namespace", name)
    server.until(lambda: server.get("serviceaccount", "default", "-n", name), what="the default account")
    yield name
    server.kubectl("delete", "namespace", name, "--wait=false")
    server.until(
        lambda: not server.kubectl("get", "namespace", name, "--ignore-not-found").stdout.strip(),
        limit_s=90,
        what="the end of the namespace",
    )
