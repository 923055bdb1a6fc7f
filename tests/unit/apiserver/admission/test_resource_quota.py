"""Quotas refuse what is too much and book the rest (api-machinery.md §4.10)."""

from __future__ import annotations

import dataclasses

import pytest

from k3py.api.kinds import ALL
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.plugins.resource_quota import LimitedResource, ResourceQuota
from k3py.apiserver.interface import AdmissionRequest

KINDS = {kind.plural: kind for kind in ALL}


class Quotas:
    """A lookup over one quota that can be written."""

    def __init__(self, hard, used, **spec):
        self.quota = {"metadata": {"name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}}

    async def list(self, resource, namespace=""):
        return [self.quota]

    async def change(self, resource, namespace, name, change):
        self.quota = change(self.quota) or self.quota

    @property
    def used(self):
        return self.quota["status"]["used"]


def request(plural, obj, old=None):
    return AdmissionRequest(
        operation="UPDATE" if old else "CREATE",
        kind=KINDS[plural],
        user=User(name="alice"),
        namespace="a",
        name=obj["metadata"].get("name", ""),
        obj=obj,
        old=old,
    )


def pod(**resources):
    return {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
    }


async def refusal(quotas, what):
    with pytest.raises(ApiError) as caught:
        await ResourceQuota(quotas).validate(what)
    assert caught.value.code == 403
    return caught.value.message


async def test_what_fits_is_booked_and_what_does_not_is_refused_with_numbers():
    quotas = Quotas({"pods": "2", "requests.cpu": "1"}, {"pods": "0", "requests.cpu": "0"})
    what = request("pods", pod(requests={"cpu": "600m"}))
    await ResourceQuota(quotas).validate(what)
    assert quotas.used == {"pods": "1", "requests.cpu": "600m"}
    message = await refusal(quotas, what)
    assert (
        "exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
        in message
    )
    assert quotas.used["pods"] == "1"


async def test_containers_have_to_say_what_a_quota_counts():
    quotas = Quotas({"limits.cpu": "2"}, {"limits.cpu": "0"})
    assert "failed quota: q: must specify limits.cpu for: c" in await refusal(quotas, request("pods", pod()))


async def test_a_dry_run_books_nothing():
    quotas = Quotas({"configmaps": "1"}, {"configmaps": "0"})
    what = dataclasses.replace(request("configmaps", {"metadata": {"name": "c"}}), dry_run=True)
    await ResourceQuota(quotas).validate(what)
    assert quotas.used == {"configmaps": "0"}


async def test_an_update_books_the_difference():
    def service(kind):
        return {"metadata": {"name": "s"}, "spec": {"type": kind, "ports": [{"port": 1}, {"port": 2}]}}

    quotas = Quotas(
        {"services": "1", "services.nodeports": "2"}, {"services": "1", "services.nodeports": "0"}
    )
    await ResourceQuota(quotas).validate(request("services", service("NodePort"), service("ClusterIP")))
    assert quotas.used == {"services": "1", "services.nodeports": "2"}


async def test_scopes_and_quotas_that_nobody_counted_yet_hold_nothing_up():
    unseen = Quotas({}, {})
    await ResourceQuota(unseen).validate(request("pods", pod()))
    scoped = Quotas({"pods": "0"}, {"pods": "0"}, scopes=["NotBestEffort"])
    await ResourceQuota(scoped).validate(request("pods", pod()))
    assert scoped.used == {"pods": "0"}


def test_events_and_subresources_are_not_looked_at():
    plugin = ResourceQuota(Quotas({}, {}))
    assert not plugin.handles(request("events", {"metadata": {"name": "e"}}))
    status = dataclasses.replace(request("pods", pod()), subresource="status")
    assert not plugin.handles(status)
    assert plugin.handles(request("pods", pod()))


async def test_a_resize_books_the_difference():
    quotas = Quotas({"requests.cpu": "1", "pods": "1"}, {"requests.cpu": "500m", "pods": "1"})

    def resize(cpu):
        what = request("pods", pod(requests={"cpu": cpu}), pod(requests={"cpu": "500m"}))
        return dataclasses.replace(what, subresource="resize")

    assert ResourceQuota(quotas).handles(resize("900m"))
    assert "exceeded quota" in await refusal(quotas, resize("1500m"))
    await ResourceQuota(quotas).validate(resize("900m"))
    assert quotas.used == {"requests.cpu": "900m", "pods": "1"}


CLAIM = {
    "metadata": {"name": "c"},
    "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "10Gi"}}},
}
GOLD = LimitedResource("", "persistentvolumeclaims", ("gold.storageclass.storage.k8s.io/requests.storage",))
CRITICAL = LimitedResource(
    "", "pods", (), ({"scopeName": "PriorityClass", "operator": "In", "values": ["critical", "urgent"]},)
)


class NoQuotas(Quotas):
    async def list(self, resource, namespace=""):
        return []


async def test_what_is_limited_needs_a_quota_that_covers_it():
    plugin = ResourceQuota(NoQuotas({}, {}), (GOLD,))
    with pytest.raises(ApiError, match="insufficient quota to consume: gold") as caught:
        await plugin.validate(request("persistentvolumeclaims", CLAIM))
    assert caught.value.code == 403
    silver = {**CLAIM, "spec": {**CLAIM["spec"], "storageClassName": "silver"}}
    await plugin.validate(request("persistentvolumeclaims", silver))
    await plugin.validate(request("pods", pod()))
    hard = {"gold.storageclass.storage.k8s.io/requests.storage": "20Gi"}
    covered = Quotas(hard, {})
    await ResourceQuota(covered, (GOLD,)).validate(request("persistentvolumeclaims", CLAIM))
    assert covered.used == {"gold.storageclass.storage.k8s.io/requests.storage": "10Gi"}


async def test_a_limited_scope_needs_a_quota_with_that_scope():
    critical = {**pod(), "spec": {**pod()["spec"], "priorityClassName": "critical"}}
    text = r"insufficient quota to match these scopes: \[\{PriorityClass In \[critical urgent\]\}\]"
    with pytest.raises(ApiError, match=text) as caught:
        await ResourceQuota(Quotas({"pods": "5"}, {}), (CRITICAL,)).validate(request("pods", critical))
    assert caught.value.code == 500
    await ResourceQuota(Quotas({"pods": "5"}, {}), (CRITICAL,)).validate(request("pods", pod()))
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": ["critical"]}
    covered = Quotas({"pods": "5"}, {}, scopeSelector={"matchExpressions": [scope]})
    await ResourceQuota(covered, (CRITICAL,)).validate(request("pods", critical))
    assert covered.used == {"pods": "1"}
