"""Empty lists: kept while it is found out who owns the field, null afterwards (api-machinery.md on managed fields)."""

import pytest

from k3py.api.schema import load_schema

ROLE = "io.k8s.api.rbac.v1.Role"
SLICE = "io.k8s.api.discovery.v1.EndpointSlice"
CLAIM = "io.k8s.api.resource.v1.ResourceClaimTemplate"


@pytest.fixture(scope="module")
def schemas():
    return load_schema()


def decode(schemas, type_name, **obj):
    decoded, unknown = schemas.decode(type_name, {"metadata": {"name": "a"}, **obj})
    assert not unknown
    return decoded


def test_a_mandatory_list_stays_empty_until_it_is_settled(schemas):
    role = decode(schemas, ROLE, rules=[])
    assert role["rules"] == []
    schemas.settle(ROLE, role)
    assert role["rules"] is None
    assert decode(schemas, ROLE)["rules"] is None


def test_an_optional_list_is_gone_at_once(schemas):
    rule = {"verbs": ["get"], "apiGroups": []}
    assert decode(schemas, ROLE, rules=[rule])["rules"] == [{"verbs": ["get"]}]


def test_lists_within_lists_and_objects_are_settled_and_full_ones_left_alone(schemas):
    found = decode(schemas, SLICE, addressType="IPv4", endpoints=[{"addresses": []}, {"addresses": ["192.0.2.1"]}])
    schemas.settle(SLICE, found)
    assert [one["addresses"] for one in found["endpoints"]] == [None, ["192.0.2.1"]]
    template = decode(schemas, CLAIM, spec={"spec": {"devices": {"requests": []}}})
    schemas.settle(CLAIM, template)
    assert template["spec"]["spec"]["devices"]["requests"] is None


def test_an_empty_overhead_is_seen_until_it_is_settled(schemas):
    pod = "io.k8s.api.core.v1.Pod"
    found = decode(schemas, pod, spec={"containers": [{"name": "c"}], "overhead": {}})
    assert found["spec"]["overhead"] == {}
    schemas.settle(pod, found)
    assert "overhead" not in found["spec"]
