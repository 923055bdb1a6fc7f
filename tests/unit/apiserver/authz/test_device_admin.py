"""Admin access to devices is for namespaces that carry the label."""

import pytest

from k3py.api.status import ApiError
from tests.support.api import run_api

ASKING = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "adminAccess": True}}]}}


@pytest.fixture
async def api():
    async with run_api() as api:
        await api.assembly.bootstrap()
        yield api


async def create(api, plural, kind, spec):
    document = {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": "c", "namespace": "default"}, "spec": spec}
    return await api.send("create", plural, body=document, namespace="default")


@pytest.mark.parametrize(
    ("plural", "kind", "spec", "path"),
    [
        ("resourceclaims", "ResourceClaim", ASKING, "spec"),
        ("resourceclaimtemplates", "ResourceClaimTemplate", {"spec": ASKING}, "spec.spec"),
    ],
)
async def test_it_needs_the_label_of_the_namespace(api, plural, kind, spec, path):
    with pytest.raises(ApiError) as caught:
        await create(api, plural, kind, spec)
    (cause,) = caught.value.details["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldValueForbidden", f"{path}.devices.requests[0].exactly.adminAccess")
    found = await api.send("get", "namespaces", "default")
    found["metadata"]["labels"]["resource.kubernetes.io/admin-access"] = "true"
    await api.send("update", "namespaces", "default", body=found)
    assert (await create(api, plural, kind, spec))["metadata"]["name"] == "c"
