"""Requests go an hour after they were answered, a day after nobody did."""

import base64

import pytest

from k3py.api.resource import CERTIFICATE_SIGNING_REQUESTS
from k3py.api.timestamps import format_time
from k3py.controllers.identity.certificates import cleaning
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from tests.support.controllers import World
from tests.unit.controllers.identity.certificates.requests import make_csr, make_object

CSR = make_csr("alice")
LEAF = sign_leaf(make_authority("a"), LeafRequest(common_name="x", days=3650), key=make_key())


@pytest.mark.parametrize(
    ("conditions", "issued", "end"),
    [
        ([], False, "2026-01-02T00:00:00Z"),
        (["Approved"], False, "2026-01-02T00:00:00Z"),
        (["Approved"], True, "2026-01-01T01:00:00Z"),
        (["Denied"], False, "2026-01-01T01:00:00Z"),
        (["Approved", "Failed"], False, "2026-01-01T01:00:00Z"),
    ],
)
def test_the_end_follows_from_the_answer(conditions, issued, end):
    request = make_object(CSR, conditions=conditions)
    if issued:
        request["status"]["certificate"] = base64.b64encode(LEAF).decode()
    assert format_time(cleaning.find_end(request)) == end


async def test_what_is_over_goes_and_the_rest_stays():
    world = World()
    world.client.seed(CERTIFICATE_SIGNING_REQUESTS, make_object(CSR, conditions=["Denied"]))
    later = make_object(CSR)
    later["metadata"] = {"name": "later", "creationTimestamp": "2900-01-01T00:00:00Z"}
    world.client.seed(CERTIFICATE_SIGNING_REQUESTS, later)
    async with world.running(cleaning.build):
        await world.until(lambda: len(world.client.objects(CERTIFICATE_SIGNING_REQUESTS)) == 1)
    assert world.client.objects(CERTIFICATE_SIGNING_REQUESTS)[0]["metadata"]["name"] == "later"
