"""What a kubelet may not write, even where authorization lets it (api-machinery.md §4.5)."""

import pytest

from k3py.api.kind import Kind, StoragePolicy
from k3py.api.kinds.core.service_account import KIND as SERVICE_ACCOUNT
from k3py.api.kinds.storage.csi_node import KIND as CSI_NODE
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.plugins.node_restriction import NodeRestriction
from k3py.apiserver.interface import AdmissionRequest, Decision

NODE = User(name="system:node:a", groups=("system:nodes",))
SLICE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    storage=StoragePolicy(prefix="resourceslices"),
)


class Objects:
    """A lookup of what is given: (plural, name) → object."""

    def __init__(self, objects):
        self.objects = objects

    async def find(self, resource, namespace, name):
        return self.objects.get((resource.plural, name))


class Grants:
    """Allows the audiences that are given."""

    def __init__(self, *audiences):
        self.audiences = audiences

    async def authorize(self, attributes):
        assert attributes.verb == "request-serviceaccounts-token-audience"
        assert attributes.user is NODE
        return Decision((attributes.resource, attributes.name) in {(one, "s") for one in self.audiences})


async def is_refused(request, *, objects=None, grants=()):
    plugin = NodeRestriction(Objects(objects or {}), Grants(*grants))
    assert plugin.handles(request)
    codes = []
    try:
        await plugin.admit(request)
    except ApiError as error:
        codes.append(error.code)
    assert codes in ([], [403])
    return bool(codes)


def token_request(*audiences):
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "u"}
    return AdmissionRequest(
        operation="CREATE",
        kind=SERVICE_ACCOUNT,
        user=NODE,
        namespace="default",
        name="s",
        subresource="token",
        obj={"metadata": {"name": "s"}, "spec": {"audiences": list(audiences), "boundObjectRef": bound}},
    )


def pod_with(*volumes, node="a"):
    metadata = {"name": "p", "namespace": "default", "uid": "u"}
    return {("pods", "p"): {"metadata": metadata, "spec": {"nodeName": node, "volumes": list(volumes)}}}


def token_volume(audience=None):
    source = {"path": "token"} | ({"audience": audience} if audience else {})
    return {"name": "v", "projected": {"sources": [{"serviceAccountToken": source}]}}


CSI = {"name": "c", "csi": {"driver": "d.example.com"}}
CLAIM = {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}}
DRIVER = {("csidrivers", "d.example.com"): {"spec": {"tokenRequests": [{"audience": "csi"}]}}}
VOLUMES = {
    ("persistentvolumeclaims", "claim"): {"spec": {"volumeName": "pv"}},
    ("persistentvolumes", "pv"): {"spec": {"csi": {"driver": "d.example.com"}}},
}


@pytest.mark.parametrize(
    ("audiences", "objects", "refused"),
    [
        ((), pod_with(token_volume()), False),
        ((), pod_with(), True),
        ((), pod_with(token_volume("vault")), True),
        (("vault",), pod_with(token_volume("vault")), False),
        (("vault",), pod_with(token_volume()), True),
        (("vault", "other"), pod_with(token_volume("vault")), True),
        (("csi",), pod_with(CSI) | DRIVER, False),
        (("csi",), pod_with(CLAIM) | DRIVER | VOLUMES, False),
        (("csi",), pod_with(CLAIM) | DRIVER, True),
        (("vault",), pod_with(token_volume("vault"), node="b"), True),
        (("vault",), {}, True),
    ],
)
async def test_a_node_gets_tokens_only_for_audiences_of_its_pods(audiences, objects, refused):
    assert await is_refused(token_request(*audiences), objects=objects) is refused


async def test_more_audiences_can_be_granted():
    assert not await is_refused(token_request("vault"), objects=pod_with(), grants=["vault"])
    assert await is_refused(token_request("vault", "other"), objects=pod_with(), grants=["vault"])


@pytest.mark.parametrize(("kind", "name", "refused"), [(CSI_NODE, "a", False), (CSI_NODE, "b", True)])
async def test_csi_nodes_are_their_nodes_own(kind, name, refused):
    request = AdmissionRequest(operation="CREATE", kind=kind, user=NODE, obj={"metadata": {"name": name}})
    assert await is_refused(request) is refused


@pytest.mark.parametrize("operation", ["CREATE", "DELETE"])
@pytest.mark.parametrize(("node", "refused"), [("a", False), ("b", True), (None, True)])
async def test_resource_slices_are_of_the_nodes_own_devices(operation, node, refused):
    found = {"metadata": {"name": "x"}, "spec": {"nodeName": node}}
    obj, old = (found, None) if operation == "CREATE" else (None, found)
    request = AdmissionRequest(operation=operation, kind=SLICE, user=NODE, name="x", obj=obj, old=old)
    assert await is_refused(request) is refused


def test_others_are_none_of_its_business():
    plugin = NodeRestriction(Objects({}), Grants())
    for user in (User(name="system:node:a"), User(name="alice", groups=("system:nodes",))):
        assert not plugin.handles(AdmissionRequest(operation="CREATE", kind=CSI_NODE, user=user))
