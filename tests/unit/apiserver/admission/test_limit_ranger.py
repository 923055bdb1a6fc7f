"""Limit ranges fill in and bound (api-machinery.md §4.10); default classes and growing claims (§4.7)."""

from __future__ import annotations

import pytest

from k3py.api.kinds import ALL
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.plugins.default_class import DefaultIngressClass, DefaultStorageClass
from k3py.apiserver.admission.plugins.limit_ranger import LimitRanger
from k3py.apiserver.admission.plugins.persistent_volume_claim_resize import PersistentVolumeClaimResize
from k3py.apiserver.interface import AdmissionRequest

KINDS = {kind.plural: kind for kind in ALL}


class Objects:
    """A lookup over lists by plural."""

    def __init__(self, **objects):
        self.objects = objects

    async def find(self, resource, namespace, name):
        found = self.objects.get(resource.plural, ())
        return next((one for one in found if one["metadata"]["name"] == name), None)

    async def list(self, resource, namespace=""):
        return list(self.objects.get(resource.plural, ()))


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
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}}


def ranger(**limit):
    return LimitRanger(
        Objects(limitranges=[{"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", **limit}]}}])
    )


async def refusal(plugin, what):
    assert plugin.handles(what)
    with pytest.raises(ApiError) as caught:
        await plugin.validate(what)
    assert caught.value.code == 403
    return caught.value.message


async def test_what_a_container_leaves_out_is_filled_in_and_noted():
    plugin = ranger(default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "100m"})
    obj = pod(limits={"memory": "2Gi"})
    await plugin.admit(request("pods", obj))
    assert obj["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m"},
        "limits": {"memory": "2Gi", "cpu": "1"},
    }
    assert obj["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    }


@pytest.mark.parametrize(
    ("limit", "resources", "text"),
    [
        ({"min": {"cpu": "1"}}, {}, "minimum cpu usage per Container is 1.  No request is specified"),
        (
            {"min": {"cpu": "1"}},
            {"requests": {"cpu": "100m"}},
            "minimum cpu usage per Container is 1, but request is 100m",
        ),
        ({"max": {"cpu": "1"}}, {}, "maximum cpu usage per Container is 1.  No limit is specified"),
        (
            {"max": {"cpu": "1"}},
            {"limits": {"cpu": "2"}},
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"limits": {"cpu": "3"}, "requests": {"cpu": "1"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
    ],
)
async def test_what_is_out_of_bounds_is_refused(limit, resources, text):
    assert text in await refusal(ranger(**limit), request("pods", pod(**resources)))


async def test_a_pod_is_bounded_as_a_whole():
    plugin = ranger(type="Pod", max={"cpu": "1"})
    obj = pod(limits={"cpu": "600m"})
    await plugin.validate(request("pods", obj))
    obj["spec"]["containers"].append({"name": "d", "resources": {"limits": {"cpu": "600m"}}})
    assert "maximum cpu usage per Pod is 1" in await refusal(plugin, request("pods", obj))


async def test_a_claim_is_bounded():
    plugin = ranger(type="PersistentVolumeClaim", max={"storage": "1Gi"})
    claim = {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    assert "maximum storage usage" in await refusal(plugin, request("persistentvolumeclaims", claim))


def marked(name, mark, created="2026-01-01T00:00:00Z", **fields):
    return {"metadata": {"name": name, "annotations": {mark: "true"}, "creationTimestamp": created}, **fields}


async def test_a_claim_without_a_class_gets_the_newest_default():
    mark = "storageclass.kubernetes.io/is-default-class"
    classes = [marked("old", mark), marked("b", mark, "2026-01-02T00:00:00Z"), marked("a", mark, "2026-01-02T00:00:00Z")]
    plugin = DefaultStorageClass(Objects(storageclasses=classes))
    claim = {"metadata": {"name": "c"}, "spec": {}}
    await plugin.admit(request("persistentvolumeclaims", claim))
    assert claim["spec"]["storageClassName"] == "a"
    none = {"metadata": {"name": "c"}, "spec": {"storageClassName": ""}}
    await plugin.admit(request("persistentvolumeclaims", none))
    assert none["spec"]["storageClassName"] == ""


async def test_an_ingress_without_a_class_gets_the_default_unless_an_annotation_names_one():
    mark = "ingressclass.kubernetes.io/is-default-class"
    plugin = DefaultIngressClass(Objects(ingressclasses=[marked("web", mark)]))
    ingress = {"metadata": {"name": "i"}, "spec": {}}
    await plugin.admit(request("ingresses", ingress))
    assert ingress["spec"]["ingressClassName"] == "web"
    old = {"metadata": {"name": "i", "annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {}}
    await plugin.admit(request("ingresses", old))
    assert "ingressClassName" not in old["spec"]


def claim_of(size, phase="Bound", class_name="s"):
    return {
        "metadata": {"name": "c"},
        "spec": {"storageClassName": class_name, "resources": {"requests": {"storage": size}}},
        "status": {"phase": phase},
    }


async def test_a_claim_grows_only_when_it_is_bound_and_its_class_allows_it():
    fixed = {"metadata": {"name": "s"}}
    growing = {"metadata": {"name": "g"}, "allowVolumeExpansion": True}
    plugin = PersistentVolumeClaimResize(Objects(storageclasses=[fixed, growing]))
    new, old = claim_of("2Gi"), claim_of("1Gi")
    assert "must support resize" in await refusal(plugin, request("persistentvolumeclaims", new, old))
    waiting = claim_of("1Gi", "Pending")
    assert "Only bound" in await refusal(plugin, request("persistentvolumeclaims", new, waiting))
    await plugin.validate(
        request("persistentvolumeclaims", claim_of("2Gi", class_name="g"), claim_of("1Gi", class_name="g"))
    )
    await plugin.validate(request("persistentvolumeclaims", old, old))


async def test_what_a_pod_says_of_itself_counts_in_place_of_its_containers():
    limits = [{"type": "Pod", "max": {"cpu": "1"}}]
    plugin = LimitRanger(Objects(limitranges=[{"metadata": {"name": "l"}, "spec": {"limits": limits}}]))
    one = pod()
    one["spec"]["resources"] = {"limits": {"cpu": "1"}}
    await plugin.validate(request("pods", one))
    one["spec"]["resources"] = {"limits": {"cpu": "2"}}
    assert "but limit is 2" in await refusal(plugin, request("pods", one))
