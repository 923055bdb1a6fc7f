"""The checks of a whole server: names, and what makes it dead, unready, or neither."""

import pytest

from k3py.apiserver.health import HealthChecks
from k3py.datastore.errors import Unavailable
from k3py.server.health import add_checks


class Parts:
    """A supervisor and a backend whose states the test sets."""

    def __init__(self):
        self.problems = {"apiserver-indexes": None, "bootstrap-objects": None, "job-controller": None}
        self.is_stopping = False
        self.fault = None
        self.checks = HealthChecks()
        add_checks(self.checks, self, self)

    def health(self):
        return self.problems

    async def range(self, key, *, count_only):
        if self.fault is not None:
            raise self.fault

    async def states(self):
        return {one: (await self.checks.answer(one))[0] for one in ("livez", "readyz", "healthz")}


@pytest.fixture
def parts():
    return Parts()


async def test_all_is_well(parts):
    assert await parts.states() == {"livez": 200, "readyz": 200, "healthz": 200}
    names = parts.checks.names("readyz")
    expected = {"ping", "log", "etcd", "etcd-readiness", "informer-sync", "shutdown", "autoregister-completion"}
    assert expected | {"poststarthook/rbac/bootstrap-roles", "job-controller"} <= set(names)
    assert not {"shutdown", "informer-sync", "job-controller"} & set(parts.checks.names("livez"))


async def test_failing_controller_makes_it_unready_not_dead(parts):
    parts.problems["job-controller"] = "fell over"
    assert await parts.states() == {"livez": 200, "readyz": 500, "healthz": 500}


async def test_unfinished_start_shows_under_upstreams_names(parts):
    parts.problems["bootstrap-objects"] = "not started"
    status, text = await parts.checks.answer("livez")
    assert status == 500
    assert "[-]poststarthook/rbac/bootstrap-roles failed: reason withheld" in text
    assert "[+]poststarthook/crd-informer-synced ok" in text


@pytest.mark.parametrize("fault", [Unavailable("gone"), TimeoutError()])
async def test_silent_datastore_fails_all(parts, fault):
    parts.fault = fault
    assert await parts.states() == {"livez": 500, "readyz": 500, "healthz": 500}
    assert (await parts.checks.answer("livez", check="etcd"))[0] == 500
    assert (await parts.checks.answer("livez", exclude=["etcd"]))[0] == 200


async def test_stopping_server_is_unready(parts):
    parts.is_stopping = True
    assert await parts.states() == {"livez": 200, "readyz": 500, "healthz": 200}
