"""Plugins that are off by default: image pulls, external IPs, floods of Events, tolerations for devices."""

from __future__ import annotations

import pytest

from k3py.api.kinds import ALL
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.plugins.always_pull_images import AlwaysPullImages
from k3py.apiserver.admission.plugins.deny_service_external_ips import DenyServiceExternalIPs
from k3py.apiserver.admission.plugins.event_rate_limit import EventLimit, EventRateLimit
from k3py.apiserver.admission.plugins.extended_resource_toleration import ExtendedResourceToleration
from k3py.apiserver.interface import AdmissionRequest

KINDS = {kind.plural: kind for kind in ALL if not kind.group}


def request(plural, obj, old=None, *, namespace="n", user="alice", **fields):
    return AdmissionRequest(
        operation="UPDATE" if old else "CREATE", kind=KINDS[plural], user=User(name=user), namespace=namespace,
        name="x", obj=obj, old=old, **fields,
    )  # fmt: skip


def pod(*images, policy="IfNotPresent", **spec):
    containers = [{"name": one, "image": one, "imagePullPolicy": policy} for one in images]
    return {"metadata": {"name": "x"}, "spec": {"containers": containers, **spec}}


def service(*addresses):
    return {"metadata": {"name": "x"}, "spec": {"externalIPs": list(addresses)}}


async def refusal(plugin, one):
    assert plugin.handles(one)
    with pytest.raises(ApiError) as caught:
        await plugin.validate(one)
    return caught.value


async def test_images_are_pulled_always():
    plugin = AlwaysPullImages()
    one = request("pods", pod("a", volumes=[{"name": "v", "image": {"reference": "r"}}, {"name": "w"}]))
    assert plugin.handles(one)
    await plugin.admit(one)
    assert one.obj["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert one.obj["spec"]["volumes"][0]["image"]["pullPolicy"] == "Always"
    await plugin.validate(one)
    error = await refusal(plugin, request("pods", pod("a")))
    assert (error.code, "spec.containers[0].imagePullPolicy: Unsupported value" in error.message) == (403, True)


def test_updates_without_a_new_image_are_let_through():
    plugin = AlwaysPullImages()
    assert not plugin.handles(request("pods", pod("a"), pod("a", "b")))
    assert plugin.handles(request("pods", pod("a", "c"), pod("a", "b")))
    assert not plugin.handles(request("pods", pod("a"), subresource="status"))


async def test_external_addresses_may_go_but_not_come():
    plugin = DenyServiceExternalIPs()
    assert (await refusal(plugin, request("services", service("192.0.2.1")))).code == 403
    assert (await refusal(plugin, request("services", service("192.0.2.1", "192.0.2.2"), service("192.0.2.1")))).code == 403
    await plugin.validate(request("services", service("192.0.2.1"), service("192.0.2.1", "192.0.2.2")))


async def test_devices_bring_their_toleration_once():
    plugin = ExtendedResourceToleration()
    one = request("pods", pod("a"))
    one.obj["spec"]["containers"][0]["resources"] = {"requests": {"example.com/gpu": "1", "cpu": "1"}}
    for _ in range(2):
        await plugin.admit(one)
        assert one.obj["spec"]["tolerations"] == [{"key": "example.com/gpu", "operator": "Exists"}]


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


async def test_events_come_at_their_rate_after_a_burst():
    clock = Clock()
    plugin = EventRateLimit([EventLimit(type="Namespace", qps=2, burst=3)], now_s=clock)
    one = request("events", {"metadata": {"name": "e"}})
    for _ in range(3):
        await plugin.validate(one)
    error = await refusal(plugin, one)
    assert (error.code, error.reason, error.message) == (429, "TooManyRequests", "limit reached on type Namespace for key n")
    await plugin.validate(request("events", {}, namespace="other"))
    clock.now_s += 0.5
    await plugin.validate(one)
    await refusal(plugin, one)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("User", request("events", {}, user="bob")),
        ("SourceAndObject", request("events", {"involvedObject": {"uid": "u"}})),
        ("SourceAndObject", request("events", {"source": {"component": "c"}})),
    ],
)
async def test_keys_have_limits_of_their_own_and_old_ones_are_forgotten(kind, other):
    plugin = EventRateLimit([EventLimit(type=kind, qps=1, burst=1, cache_size=1)], now_s=Clock())
    one = request("events", {})
    await plugin.validate(one)
    await refusal(plugin, one)
    await plugin.validate(other)
    await plugin.validate(one)


async def test_all_share_the_limit_of_the_server_and_dry_runs_are_free():
    plugin = EventRateLimit([EventLimit(type="Server", qps=1, burst=1)], now_s=Clock())
    await plugin.validate(request("events", {}))
    await refusal(plugin, request("events", {}, namespace="other", user="bob"))
    assert not plugin.handles(request("events", {}, dry_run=True))
    assert not plugin.handles(request("pods", {}))
