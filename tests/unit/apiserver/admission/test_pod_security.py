"""The admission plugin PodSecurity: who is refused, who is warned, what an update of labels says (api-machinery.md §4.9)."""

from __future__ import annotations

import pytest

from k3py.api.kinds import ALL
from k3py.api.object import deep_copy
from k3py.api.pod_security.labels import DefaultLevels, LevelVersion
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.plugins.pod_security import PodSecurity
from k3py.apiserver.admission.settings import PodSecuritySettings
from k3py.apiserver.interface import AdmissionRequest

KINDS = {(kind.group, kind.plural): kind for kind in ALL}
PREFIX = "pod-security.kubernetes.io/"
HOSTILE = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}], "hostNetwork": True}}
WARNING = 'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'


class Cluster:
    """A lookup with one namespace and its pods."""

    def __init__(self, pods=(), **labels):
        self.namespace = {"metadata": {"name": "a", "labels": {PREFIX + key: value for key, value in labels.items()}}}
        self.pods = list(pods)

    async def find(self, resource, namespace, name):
        return self.namespace

    async def list(self, resource, namespace=""):
        return self.pods


def request(plural, obj, old=None, group="", subresource=""):
    return AdmissionRequest(
        operation="UPDATE" if old else "CREATE",
        kind=KINDS[group, plural],
        user=User(name="alice"),
        namespace="" if plural == "namespaces" else "a",
        name=obj["metadata"]["name"],
        subresource=subresource,
        obj=obj,
        old=old,
    )


async def judge(cluster, what):
    plugin = PodSecurity(cluster)
    assert plugin.handles(what)
    await plugin.validate(what)
    return what.warnings


async def test_an_offender_is_refused_and_not_warned():
    what = request("pods", deep_copy(HOSTILE))
    with pytest.raises(ApiError) as caught:
        await judge(Cluster(enforce="baseline"), what)
    assert caught.value.code == 403
    assert 'violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)' in caught.value.message
    assert what.warnings == []


async def test_without_labels_everything_is_let_in():
    assert await judge(Cluster(), request("pods", deep_copy(HOSTILE))) == []


async def test_a_warning_does_not_refuse():
    assert await judge(Cluster(warn="baseline"), request("pods", deep_copy(HOSTILE))) == [WARNING]


async def test_templates_are_warned_about_and_never_refused():
    template = {"spec": HOSTILE["spec"]}
    deployment = {"metadata": {"name": "d"}, "spec": {"template": template}}
    assert await judge(Cluster(enforce="baseline"), request("deployments", deployment, group="apps")) == [WARNING]
    cron = {"metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    assert await judge(Cluster(warn="baseline"), request("cronjobs", cron, group="batch")) == [WARNING]


async def test_an_update_is_judged_when_it_changes_what_runs():
    cluster = Cluster(enforce="baseline")
    labelled = deep_copy(HOSTILE)
    labelled["metadata"]["labels"] = {"a": "b"}
    assert await judge(cluster, request("pods", labelled, deep_copy(HOSTILE))) == []
    changed = deep_copy(HOSTILE)
    changed["spec"]["containers"][0]["image"] = "other"
    with pytest.raises(ApiError):
        await judge(cluster, request("pods", changed, deep_copy(HOSTILE)))


def test_a_status_is_nobodys_business():
    assert not PodSecurity(Cluster()).handles(request("pods", HOSTILE, HOSTILE, subresource="status"))


def namespace(**labels):
    return {"metadata": {"name": "a", "labels": {PREFIX + key: value for key, value in labels.items()}}}


async def test_labels_of_a_namespace_are_checked():
    with pytest.raises(ApiError) as caught:
        await judge(Cluster(), request("namespaces", namespace(enforce="bogus")))
    assert caught.value.code == 422
    old = namespace(enforce="bogus")
    await judge(Cluster(), request("namespaces", {**old, "extra": 1}, old))


async def test_a_stricter_level_tells_which_pods_would_not_be_let_in():
    pods = [{**deep_copy(HOSTILE), "metadata": {"name": name}} for name in ("b", "a")]
    cluster = Cluster(pods)
    assert await judge(cluster, request("namespaces", namespace(enforce="baseline"), namespace())) == [
        'existing pods in namespace "a" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]
    relaxed = request("namespaces", namespace(enforce="baseline"), namespace(enforce="restricted"))
    assert await judge(cluster, relaxed) == []


async def test_audit_events_tell_the_level_and_what_violates_that_of_audit():
    what = request("pods", deep_copy(HOSTILE))
    what.annotations = {}
    await judge(Cluster(audit="baseline"), what)
    assert what.annotations == {PREFIX + "enforce-policy": "privileged:latest", PREFIX + "audit-violations": WARNING}


LEVELS = DefaultLevels(enforce=LevelVersion("baseline"))


async def test_namespaces_that_say_nothing_have_the_default_level():
    plugin = PodSecurity(Cluster(), PodSecuritySettings(defaults=LEVELS))
    with pytest.raises(ApiError, match='violates PodSecurity "baseline:latest"'):
        await plugin.validate(request("pods", deep_copy(HOSTILE)))
    open_plugin = PodSecurity(Cluster(enforce="privileged"), PodSecuritySettings(defaults=LEVELS))
    await open_plugin.validate(request("pods", deep_copy(HOSTILE)))


@pytest.mark.parametrize(
    ("exemption", "why"),
    [({"namespaces": {"a"}}, "namespace"), ({"usernames": {"alice"}}, "user"), ({"runtime_classes": {"vm"}}, "runtimeClass")],
)
async def test_who_is_exempt(exemption, why):
    what = request("pods", deep_copy(HOSTILE))
    what.obj["spec"]["runtimeClassName"] = "vm"
    what.annotations = {}
    await PodSecurity(Cluster(), PodSecuritySettings(defaults=LEVELS, **exemption)).validate(what)
    assert what.annotations == {PREFIX + "exempt": why}
    other = {key: {"other"} for key in exemption}
    with pytest.raises(ApiError):
        await PodSecurity(Cluster(), PodSecuritySettings(defaults=LEVELS, **other)).validate(what)
