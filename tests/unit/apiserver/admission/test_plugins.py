"""Admission plugins, each by the rule it keeps (api-machinery.md §4.7, §4.5)."""

import pytest

from k3py.api.kinds import ALL
from k3py.api.object import deep_copy
from k3py.api.registry import KindRegistry
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.chain import build_chain
from k3py.apiserver.admission.plugins.service_account import MOUNT_PATH
from k3py.apiserver.admission.plugins.storage_object_in_use_protection import StorageObjectInUseProtection
from k3py.apiserver.admission.policies.index import PolicyIndex
from k3py.apiserver.admission.webhooks.webhooks import Webhooks
from k3py.apiserver.interface import AdmissionRequest, Decision

KINDS = {(kind.group, kind.plural): kind for kind in ALL}
ADMIN = User(name="admin", groups=("system:masters",))
NODE = User(name="system:node:n", groups=("system:nodes",))


class Objects:
    """A lookup over a dict: (plural, namespace, name) → object."""

    def __init__(self, **objects):
        self.objects = {tuple(key.split("__")): value for key, value in objects.items()}

    async def find(self, resource, namespace, name):
        return self.objects.get((resource.plural, namespace, name))

    async def list(self, resource, namespace=""):
        return [value for key, value in self.objects.items() if key[0] == resource.plural]


class Permissions:
    """An authorizer that permits nothing."""

    async def authorize(self, attributes):
        return Decision(allowed=False)


def no_webhooks(lookup):
    """Return webhooks of which none is configured."""
    return Webhooks(
        kinds=KindRegistry(ALL), lookup=lookup, authorizer=Permissions(), schemas=None, open_session=None, metrics=None
    )


def namespace(phase="Active", **metadata):
    return {"metadata": {"name": "a", **metadata}, "status": {"phase": phase}}


def account(**fields):
    return {"metadata": {"name": "default"}, **fields}


def cluster(**more):
    return Objects(**{"namespaces____a": namespace(), "serviceaccounts__a__default": account(), **more})


def pod(**spec):
    containers = [{"name": "c", "image": "i"}]
    return {"metadata": {"name": "p", "namespace": "a"}, "spec": {"containers": containers, **spec}}


def request(obj, operation="CREATE", *, kind=("", "pods"), user=ADMIN, old=None, subresource=""):
    metadata = (obj or old)["metadata"]
    return AdmissionRequest(
        operation=operation,
        kind=KINDS[kind],
        user=user,
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        subresource=subresource,
        obj=deep_copy(obj) if obj is not None else None,
        old=old,
    )


async def admit(lookup, one):
    chain = build_chain(lookup, Permissions(), no_webhooks(lookup), PolicyIndex())
    await chain.admit(one)
    await chain.validate(one)
    return one.obj


async def refused(lookup, one, text="", code=403):
    with pytest.raises(ApiError) as caught:
        await admit(lookup, one)
    assert caught.value.code == code
    assert text in caught.value.message
    return caught.value


async def test_a_namespace_that_is_absent_is_404_and_one_that_ends_403_with_its_cause():
    await refused(Objects(), request(pod()), code=404)
    for ending in (namespace("Terminating"), namespace(deletionTimestamp="t")):
        error = await refused(cluster(namespaces____a=ending), request(pod()), "being terminated")
        assert error.has_cause("NamespaceTerminating")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_namespaces_of_the_system_cannot_be_deleted(name):
    gone = {"metadata": {"name": name}}
    await refused(Objects(), request(None, "DELETE", kind=("", "namespaces"), old=gone), "may not be deleted")


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"),
    [(p, a, p is not False and (p is True or a is not False)) for p in (None, True, False) for a in (None, True, False)],
)
async def test_the_token_is_mounted_as_pod_and_account_say(of_pod, of_account, mounted):
    fields = {} if of_account is None else {"automountServiceAccountToken": of_account}
    spec = {} if of_pod is None else {"automountServiceAccountToken": of_pod}
    made = await admit(cluster(serviceaccounts__a__default=account(**fields)), request(pod(**spec)))
    mounts = [one["mountPath"] for one in made["spec"]["containers"][0].get("volumeMounts", [])]
    assert (mounts == [MOUNT_PATH]) is mounted
    assert len(made["spec"].get("volumes", [])) == mounted


async def test_the_volume_holds_token_certificate_and_namespace():
    made = await admit(cluster(), request(pod()))
    (volume,) = made["spec"]["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [next(iter(one)) for one in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3607
    assert made["spec"]["serviceAccount"] == made["spec"]["serviceAccountName"] == "default"


async def test_pull_secrets_come_from_the_account_unless_the_pod_has_its_own():
    secret = [{"name": "s"}]
    lookup = cluster(serviceaccounts__a__default=account(imagePullSecrets=secret))
    assert (await admit(lookup, request(pod())))["spec"]["imagePullSecrets"] == secret
    own = await admit(lookup, request(pod(imagePullSecrets=[{"name": "own"}])))
    assert own["spec"]["imagePullSecrets"] == [{"name": "own"}]


async def test_an_unknown_account_class_or_runtime_is_403():
    await refused(cluster(), request(pod(serviceAccountName="x")), 'serviceaccount "x" not found')
    await refused(cluster(), request(pod(priorityClassName="x")), "no PriorityClass with name x")
    await refused(cluster(), request(pod(runtimeClassName="x")), 'RuntimeClass "x" not found')
    await refused(cluster(), request(pod(overhead={})), "Overhead")


async def test_priority_comes_from_the_class_or_the_default_class():
    high = {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"}
    default = {"metadata": {"name": "usual"}, "value": 5, "globalDefault": True}
    lookup = cluster(priorityclasses____high=high, priorityclasses____usual=default)
    spec = (await admit(lookup, request(pod(priorityClassName="high"))))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")
    spec = (await admit(lookup, request(pod())))["spec"]
    assert (spec["priority"], spec["priorityClassName"]) == (5, "usual")
    assert (await admit(cluster(), request(pod())))["spec"]["priority"] == 0
    await refused(cluster(), request(pod(priority=7)), "must not be provided in pod spec")


async def test_two_default_priority_classes_are_one_too_many():
    default = {"metadata": {"name": "usual"}, "value": 5, "globalDefault": True}
    second = {"metadata": {"name": "other"}, "value": 6, "globalDefault": True}
    kind = ("scheduling.k8s.io", "priorityclasses")
    await refused(cluster(priorityclasses____usual=default), request(second, kind=kind), "already marked as default")
    await admit(cluster(priorityclasses____usual=default), request(default, "UPDATE", kind=kind, old=default))


async def test_default_tolerations_are_added_where_the_pod_has_none_of_the_key():
    own = [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]
    tolerations = (await admit(cluster(), request(pod(tolerations=own))))["spec"]["tolerations"]
    assert [(one["key"].rpartition("/")[2], one["tolerationSeconds"]) for one in tolerations] == [
        ("not-ready", 1),
        ("unreachable", 300),
    ]
    every = [{"operator": "Exists"}]
    assert (await admit(cluster(), request(pod(tolerations=every))))["spec"]["tolerations"] == every


async def test_a_new_node_is_tainted_once():
    node = {"metadata": {"name": "n"}}
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    made = await admit(Objects(), request(node, kind=("", "nodes")))
    assert made["spec"]["taints"] == [taint]
    again = await admit(Objects(), request({**node, "spec": {"taints": [taint]}}, kind=("", "nodes")))
    assert again["spec"]["taints"] == [taint]


async def test_zone_and_region_follow_the_node():
    labels = {"topology.kubernetes.io/zone": "z", "other": "x"}
    lookup = cluster(nodes____n={"metadata": {"name": "n", "labels": labels}})
    made = await admit(lookup, request(pod(nodeName="n")))
    assert made["metadata"]["labels"] == {"topology.kubernetes.io/zone": "z"}


def own_node(**labels):
    return {"metadata": {"name": "n", "uid": "u", "labels": labels}, "spec": {}}


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("plain", True),
        ("kubernetes.io/hostname", True),
        ("topology.kubernetes.io/zone", True),
        ("node.kubernetes.io/anything", True),
        ("x.kubelet.kubernetes.io/y", True),
        ("node-restriction.kubernetes.io/x", False),
        ("node-role.kubernetes.io/worker", False),
        ("x.k8s.io/y", False),
    ],
)
async def test_a_kubelet_labels_its_node_only_as_it_may(label, allowed):
    one = request(own_node(**{label: "v"}), "UPDATE", kind=("", "nodes"), user=NODE, old=own_node())
    if allowed:
        await admit(Objects(), one)
    else:
        await refused(Objects(), one, label)


async def test_a_kubelet_leaves_other_nodes_taints_and_leases_alone():
    other = {"metadata": {"name": "other"}, "spec": {}}
    await refused(Objects(), request(other, "UPDATE", kind=("", "nodes"), user=NODE, old=other), "not allowed")
    tainted = {**own_node(), "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}
    await refused(Objects(), request(tainted, "UPDATE", kind=("", "nodes"), user=NODE, old=own_node()), "taints")
    lease = {"metadata": {"name": "other", "namespace": "kube-node-lease"}}
    lookup = Objects(**{"namespaces____kube-node-lease": namespace()})
    await refused(lookup, request(lease, kind=("coordination.k8s.io", "leases"), user=NODE), "node lease")


def mirror(**changes):
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": True, **changes}
    metadata = {
        "name": "p",
        "namespace": "a",
        "annotations": {"kubernetes.io/config.mirror": "x"},
        "ownerReferences": [owner],
    }
    return {"metadata": metadata, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}


@pytest.mark.parametrize(
    "change", [{"controller": False}, {"name": "other"}, {"uid": "other"}, {"kind": "ConfigMap"}, {"blockOwnerDeletion": True}]
)
async def test_a_mirror_pod_belongs_to_its_node_alone(change):
    lookup = cluster(nodes____n=own_node())
    await admit(lookup, request(mirror(), user=NODE))
    await refused(lookup, request(mirror(**change), user=NODE))


@pytest.mark.parametrize(
    "reference",
    [
        {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "s"}}]},
        {"containers": [{"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": "s"}}]}]},
        {"containers": [{"name": "c", "image": "i", "env": [{"name": "e", "valueFrom": {"configMapKeyRef": {"key": "k"}}}]}]},
    ],
)
async def test_a_mirror_pod_reads_nothing_of_the_cluster(reference):
    one = mirror()
    one["spec"].update(reference)
    await refused(cluster(nodes____n=own_node()), request(one, user=NODE), "reference")


async def test_a_node_tells_only_the_capacity_of_a_claim():
    before = {"metadata": {"name": "c", "namespace": "a"}, "spec": {}, "status": {"phase": "Pending"}}
    sized = {**before, "status": {"phase": "Pending", "capacity": {"storage": "1Gi"}}}
    lost = {**before, "status": {"phase": "Lost"}}
    claims = ("", "persistentvolumeclaims")
    await admit(cluster(), request(sized, "UPDATE", kind=claims, user=NODE, old=before, subresource="status"))
    await refused(cluster(), request(lost, "UPDATE", kind=claims, user=NODE, old=before, subresource="status"))
    await refused(cluster(), request(sized, "UPDATE", kind=claims, user=NODE, old=before), "PVC status")


@pytest.mark.parametrize(
    ("kind", "finalizer"),
    [
        (("", "persistentvolumeclaims"), "kubernetes.io/pvc-protection"),
        (("", "persistentvolumes"), "kubernetes.io/pv-protection"),
        (("storage.k8s.io", "volumeattributesclasses"), "kubernetes.io/vac-protection"),
    ],
)
async def test_storage_objects_are_protected_once(kind, finalizer):
    for given in ([], ["example.com/own"], [finalizer]):
        one = request({"metadata": {"name": "x", "finalizers": given}, "spec": {}}, kind=kind)
        plugin = StorageObjectInUseProtection()
        assert plugin.handles(one)
        await plugin.admit(one)
        assert one.obj["metadata"]["finalizers"] == [*(name for name in given if name != finalizer), finalizer]
