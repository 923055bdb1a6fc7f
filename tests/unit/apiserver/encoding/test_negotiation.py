"""The Accept header decides media type and view."""

from __future__ import annotations

import pytest

from k3py.api.status import ApiError
from k3py.apiserver.encoding.negotiation import JSON, PROTOBUF, TABLE, YAML, Negotiator

META = "g=meta.k8s.io;v=v1"


@pytest.mark.parametrize(
    ("accept", "shape", "media_type", "view"),
    [
        ("", "object", JSON, ""),
        ("*/*", "list", JSON, ""),
        ("application/*", "list", JSON, ""),
        ("application/yaml", "object", YAML, ""),
        ("application/vnd.kubernetes.protobuf, */*", "object", PROTOBUF, ""),
        ("application/json;q=0.5, application/yaml", "object", YAML, ""),
        ("application/json;q=0, application/yaml", "object", YAML, ""),
        (f"application/json;as=Table;{META}", "list", JSON, TABLE),
        (f"application/json;as=Table;{META}", "watch", JSON, TABLE),
        (f"application/json;as=Table;g=other;v=v1,application/json;as=Table;{META}", "list", JSON, TABLE),
        ("application/json;as=Table;g=meta.k8s.io;v=v9, application/json", "list", JSON, ""),
        (f"application/vnd.kubernetes.protobuf;as=Table;{META},application/json", "list", JSON, ""),
        (f"application/json;as=PartialObjectMetadata;{META}", "object", JSON, "PartialObjectMetadata"),
        (f"application/json;as=PartialObjectMetadata;{META}", "watch", JSON, "PartialObjectMetadata"),
        (f"application/json;as=PartialObjectMetadataList;{META}", "list", JSON, "PartialObjectMetadataList"),
    ],
)
def test_what_is_chosen(accept, shape, media_type, view):
    negotiator = Negotiator()
    for _ in range(2):  # the second answer is remembered
        form = negotiator.negotiate_object(accept, shape)
        assert (form.media_type, form.view) == (media_type, view)


@pytest.mark.parametrize(
    ("accept", "shape"),
    [
        ("application/cbor", "object"),
        ("application/yaml", "watch"),
        (f"application/json;as=PartialObjectMetadata;{META}", "list"),
        (f"application/json;as=PartialObjectMetadataList;{META}", "object"),
        (f"application/vnd.kubernetes.protobuf;as=Table;{META}", "list"),
    ],
)
def test_what_cannot_be_made_is_406(accept, shape):
    with pytest.raises(ApiError) as raised:
        Negotiator().negotiate_object(accept, shape)
    assert raised.value.code == 406


def test_custom_kinds_have_no_protobuf():
    negotiator = Negotiator()
    with pytest.raises(ApiError):
        negotiator.negotiate_object(PROTOBUF, "object", protobuf=False)
    assert negotiator.negotiate_object(PROTOBUF, "object").media_type == PROTOBUF
    form = negotiator.negotiate_object(f"{PROTOBUF},application/json", "object", protobuf=False)
    assert form.media_type == JSON
