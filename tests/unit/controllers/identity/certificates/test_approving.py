"""A kubelet's request for itself is approved when RBAC says so, and nothing else is."""

import pytest

from k3py.api.resource import CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS
from k3py.controllers.identity.certificates import approving
from tests.support.controllers import World
from tests.unit.controllers.identity.certificates.requests import make_csr, make_object

KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
NODE = ("system:node:a", "system:nodes")


async def _conditions(granted, csr, **settings):
    world = World()
    asked = []
    create = world.client.create

    async def review(resource, obj, **kwargs):
        if resource != SUBJECT_ACCESS_REVIEWS:
            return await create(resource, obj, **kwargs)
        spec = obj["spec"]
        asked.append((spec["user"], spec["resourceAttributes"]["subresource"]))
        return {**obj, "status": {"allowed": asked[-1][1] in granted}}

    world.client.create = review
    world.client.seed(CERTIFICATE_SIGNING_REQUESTS, make_object(csr, **{"signer": KUBELET, **settings}))
    async with world.running(approving.build):
        await world.settle()
    return world.client.objects(CERTIFICATE_SIGNING_REQUESTS)[0]["status"]["conditions"], asked


@pytest.mark.parametrize(
    ("username", "granted"), [("system:node:a", "selfnodeclient"), ("system:bootstrap:x", "nodeclient")]
)
async def test_it_is_approved_with_the_right_that_fits(username, granted):
    conditions, asked = await _conditions([granted], make_csr(*NODE), username=username)
    assert [(one["type"], one["reason"]) for one in conditions] == [("Approved", "AutoApproved")]
    assert asked == [(username, granted)]


async def test_another_nodes_name_is_never_a_request_for_oneself():
    conditions, asked = await _conditions(["selfnodeclient"], make_csr(*NODE), username="system:node:b")
    assert conditions == []
    assert asked == [("system:node:b", "nodeclient")]


@pytest.mark.parametrize(
    ("csr", "settings"),
    [
        (make_csr("alice"), {}),
        (make_csr(*NODE), {"signer": "kubernetes.io/kube-apiserver-client"}),
        (make_csr(*NODE), {"usages": ("digital signature", "client auth", "server auth")}),
        (make_csr(*NODE), {"conditions": ["Denied"]}),
    ],
)
async def test_others_wait_for_a_human(csr, settings):
    conditions, asked = await _conditions(["selfnodeclient", "nodeclient"], csr, **settings)
    assert not any(one["type"] == "Approved" for one in conditions)
    assert asked == []
