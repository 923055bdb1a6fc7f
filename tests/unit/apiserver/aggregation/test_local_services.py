"""APIServices of what this server serves: made at the start, following definitions, never in users' way."""

import pytest

from k3py.api.status import ApiError
from k3py.apiserver.aggregation import local_services
from k3py.apiserver.aggregation.local_services import LocalApiServices
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope
from tests.support.api import run_api
from tests.support.waiting import wait_for

MANAGED = "kube-aggregator.kubernetes.io/automanaged"


def definition(group):
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "metadata": {"name": f"toys.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "toys", "kind": "Toy"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


async def find(api, name):
    try:
        return await api.send("get", "apiservices", name)
    except ApiError as error:
        if error.code != 404:
            raise
    return None


async def test_built_in_groups_have_one_at_the_start():
    async with run_api() as api:
        await wait_for(lambda: find(api, "v1.apps"))
        found = await find(api, "v1.apps")
        assert found["metadata"]["labels"] == {MANAGED: "onstart"}
        assert found["spec"] == {
            "group": "apps",
            "version": "v1",
            "groupPriorityMinimum": 17800,
            "versionPriority": 15,
        }
        await wait_for(lambda: find(api, "v1."))
        assert await find(api, "v1.apiregistration.k8s.io") is None


async def test_built_in_one_that_is_deleted_stays_away():
    async with run_api() as api:
        await wait_for(lambda: find(api, "v1.batch"))
        await api.send("delete", "apiservices", "v1.batch")
        await api.send("create", "customresourcedefinitions", body=definition("a.example.com"))
        await wait_for(lambda: find(api, "v1.a.example.com"))  # so the registrations were looked at again
        assert await find(api, "v1.batch") is None


async def test_custom_groups_come_and_go_with_their_definition():
    async with run_api() as api:
        await api.send("create", "customresourcedefinitions", body=definition("a.example.com"))
        found = await wait_for(lambda: find(api, "v1.a.example.com"))
        assert found["metadata"]["labels"] == {MANAGED: "true"}
        assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (1000, 100)
        await api.send("delete", "apiservices", "v1.a.example.com")

        async def is_back():
            now = await find(api, "v1.a.example.com")
            return now is not None and now["metadata"]["uid"] != found["metadata"]["uid"]

        await wait_for(is_back)
        await api.send("delete", "customresourcedefinitions", "toys.a.example.com")

        async def is_gone():
            return await find(api, "v1.a.example.com") is None

        await wait_for(is_gone)


@pytest.mark.parametrize("label", [{}, {"mine": "1"}])
async def test_ones_without_the_label_belong_to_users(label):
    own = {
        "metadata": {"name": "v1.a.example.com", "labels": label},
        "spec": {
            "group": "a.example.com",
            "version": "v1",
            "groupPriorityMinimum": 7,
            "versionPriority": 7,
            "service": {"name": "s", "namespace": "n"},
        },
    }
    async with run_api() as api:
        await api.send("create", "apiservices", body=own)
        await api.send("create", "customresourcedefinitions", body=definition("a.example.com"))
        await api.send("create", "customresourcedefinitions", body=definition("b.example.com"))
        await wait_for(lambda: find(api, "v1.b.example.com"))
        assert (await find(api, "v1.a.example.com"))["spec"]["groupPriorityMinimum"] == 7


class RefusingDispatcher:
    """Refuses everything until it is mended, as a full datastore does."""

    def __init__(self, inner):
        self.inner = inner
        self.full = True
        self.refused = 0

    async def dispatch(self, request):
        if self.full:
            self.refused += 1
            raise ApiError(507, "InsufficientStorage", "full")
        return await self.inner.dispatch(request)


async def test_full_datastore_only_delays(monkeypatch):
    monkeypatch.setattr(local_services, "Backoff", lambda **_: Backoff(first_s=0.01, cap_s=0.01))
    async with run_api() as api, TaskScope() as scope:
        for name in ("v1.apps", "v1.batch"):
            await wait_for(lambda name=name: find(api, name))
            await api.send("delete", "apiservices", name)
        dispatcher = RefusingDispatcher(api.assembly.dispatcher)
        keeper = LocalApiServices(dispatcher, api.kinds, api.assembly.extensions.services)
        _ = scope.spawn(keeper.run(), name="keeper")

        async def is_refused():
            return dispatcher.refused > 4

        await wait_for(is_refused)
        dispatcher.full = False
        for name in ("v1.apps", "v1.batch"):
            await wait_for(lambda name=name: find(api, name))
        scope.cancel()
