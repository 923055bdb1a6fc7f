"""The protobuf form of /openapi/v2, read back by field numbers."""

import struct

from k3py.wire.openapi_protobuf import encode_document
from k3py.wire.varint import FIXED64, LENGTH, get_length, get_varint

DOCUMENT = {
    "swagger": "2.0",
    "info": {"title": "Kubernetes", "version": "v1"},
    "paths": {
        "/x/{name}": {
            "parameters": [{"name": "name", "in": "path", "required": True, "type": "string"}],
            "post": {
                "operationId": "make",
                "parameters": [
                    {"name": "dryRun", "in": "query", "type": "string", "uniqueItems": True},
                    {"name": "body", "in": "body", "required": True, "schema": {"$ref": "#/definitions/X"}},
                ],
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/X"}}},
                "x-kubernetes-action": "post",
            },
        }
    },
    "definitions": {
        "X": {
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {"type": "array", "items": {"type": "string"}},
                "b": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "x-kubernetes-group-version-kind": [{"group": "", "kind": "X", "version": "v1"}],
        }
    },
}


def read(data, *numbers):
    """Follow field numbers into nested messages; return the last field's values."""
    found = [bytes(data)]
    for number in numbers:
        found = [value for one in found for key, value in fields(one) if key == number]
    return found


def fields(data):
    at = 0
    while at < len(data):
        key, at = get_varint(data, at)
        if key & 7 == LENGTH:
            start, at = get_length(data, at)
            yield key >> 3, data[start:at]
        elif key & 7 == FIXED64:
            yield key >> 3, struct.unpack("<d", data[at : at + 8])[0]
            at += 8
        else:
            value, at = get_varint(data, at)
            yield key >> 3, value


def test_paths_operations_parameters_and_responses_have_gnostics_field_numbers():
    data = encode_document(DOCUMENT)
    assert read(data, 1) == [b"2.0"]
    assert read(data, 2, 1) == [b"Kubernetes"]
    assert read(data, 8, 2, 1) == [b"/x/{name}"]
    item = (8, 2, 2)
    assert read(data, *item, 9, 1, 2, 4, 4) == [b"name"]
    assert read(data, *item, 4, 5) == [b"make"]
    assert read(data, *item, 4, 8, 1, 2, 3, 4) == [b"dryRun"]
    assert read(data, *item, 4, 8, 1, 1, 5, 1) == [b"#/definitions/X"]
    assert read(data, *item, 4, 9, 1, 1) == [b"200"]
    assert read(data, *item, 4, 9, 1, 2, 1, 2, 1, 1) == [b"#/definitions/X"]
    assert read(data, *item, 4, 13, 2, 2) == [b'"post"\n']


def test_definitions_have_gnostics_field_numbers():
    schema = (9, 1, 2)
    data = encode_document(DOCUMENT)
    assert read(data, 9, 1, 1) == [b"X"]
    assert read(data, *schema, 22, 1) == [b"object"]
    assert read(data, *schema, 19) == [b"a"]
    assert read(data, *schema, 25, 1, 1) == [b"a", b"b"]
    assert read(data, *schema, 25, 1, 2, 23, 1, 22, 1) == [b"string"]
    assert read(data, *schema, 25, 1, 2, 21, 1, 22, 1) == [b"string"]
    assert read(data, *schema, 31, 1) == [b"x-kubernetes-group-version-kind"]
    assert read(data, *schema, 31, 2, 2) == [b'[{"group":"","kind":"X","version":"v1"}]\n']


def test_limits_of_custom_resources_and_keys_that_nobody_knows():
    schema = {"type": "number", "maximum": 2.5, "minimum": -1, "minLength": 3, "exclusiveMaximum": True, "contentEncoding": "base64"}
    data = encode_document({"definitions": {"X": schema}})
    found = dict(fields(read(data, 9, 1, 2)[0]))
    assert (found[7], found[9], found[12], found[8]) == (2.5, -1.0, 3, 1)
    assert set(found) == {22, 7, 9, 12, 8}
