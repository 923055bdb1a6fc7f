import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k3py.api.object import deep_copy
from k3py.api.patch.apply import update_managed_fields
from k3py.api.schema import load_schema
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf

SCHEMAS = load_schema()
CODEC = KubernetesProtobuf(SCHEMAS.table)
KINDS = ["v1 Pod", "v1 Service", "v1 Node", "apps/v1 Deployment", "v1 Secret", "discovery.k8s.io/v1 EndpointSlice", "v1 Event", "rbac.authorization.k8s.io/v1 Role"]

scalars = st.none() | st.booleans() | st.integers(-5, 1 << 40) | st.floats(allow_nan=False) | st.text(max_size=4) | st.sampled_from(["1Gi", "2026-01-02T03:04:05Z", "80%"])


def documents(type_name, depth=4):
    """Documents that mostly fit a type: each field right, wrong or unknown."""
    kind = SCHEMAS.find(type_name)
    if kind is None or kind.special or depth == 0:
        return scalars
    fields = {}
    for name, one in kind.json_fields.items():
        if name == "managedFields":  # an empty list there means more than none
            continue
        value = {"string": st.text(max_size=4), "bool": st.booleans(), "int32": st.integers(0, 99), "int64": st.integers(0, 99), "bytes": st.just("eA==")}.get(one.type)
        value = value if value is not None else st.deferred(lambda one=one: documents(one.type, depth - 1))
        if one.card == "rep":
            value = st.lists(value, max_size=2)
        elif one.card == "map":
            value = st.dictionaries(st.text(max_size=3), value, max_size=2)
        fields[name] = value
    return st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True).flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))


def name_of(kind):
    return SCHEMAS.find_type_name(*kind.split(" "))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_document_decodes_stably_or_is_refused(kind):
    @settings(max_examples=40, deadline=None)
    @given(documents(name_of(kind)))
    def check(document):
        before = deep_copy(document)
        if SCHEMAS.check_types(name_of(kind), document):
            return
        decoded, _ = SCHEMAS.decode(name_of(kind), document)
        assert document == before
        assert SCHEMAS.decode(name_of(kind), decoded) == (decoded, [])
        SCHEMAS.default(name_of(kind), decoded)
        once = deep_copy(decoded)
        SCHEMAS.default(name_of(kind), decoded)
        assert decoded == once
        api_version, name = kind.split(" ")
        full = {**decoded, "kind": name, "apiVersion": api_version}
        tracked = update_managed_fields(None, full, manager="m", api_version=api_version, now="2026-01-01T00:00:00Z", schemas=SCHEMAS)
        assert {**tracked, "metadata": 0} == {**full, "metadata": 0}
        SCHEMAS.settle(name_of(kind), full)  # protobuf knows no empty lists
        again = SCHEMAS.decode(name_of(kind), CODEC.decode_object(CODEC.encode_object(full)))[0]
        assert json.dumps(again, sort_keys=True) == json.dumps(SCHEMAS.decode(name_of(kind), full)[0], sort_keys=True)

    check()
