import base64
import json
import lzma
from pathlib import Path

import pytest

from k3py.api.schema import load_schema
from k3py.wire.kubernetes_protobuf import (
    KubernetesProtobuf,
    frame_watch_event,
    split_envelope,
    split_watch_frame,
)
from k3py.wire.varint import ProtobufError

DATA = Path(__file__).parents[2] / "support/data/protobuf-vectors.jsonl.xz"
VECTORS = [json.loads(line) for line in lzma.decompress(DATA.read_bytes()).splitlines()]


@pytest.fixture(scope="module")
def schemas():
    return load_schema()


@pytest.fixture(scope="module")
def codec(schemas):
    return KubernetesProtobuf(schemas.table)


@pytest.mark.parametrize("vector", VECTORS, ids=[one["kind"] for one in VECTORS])
def test_bytes_of_go_decode_to_gos_json(codec, vector):
    data = base64.b64decode(vector["proto"])
    api_version, kind, _ = split_envelope(data)
    expected = {"kind": kind, "apiVersion": api_version} | vector["json"]
    assert codec.decode_object(data) == expected


@pytest.mark.parametrize("vector", VECTORS, ids=[one["kind"] for one in VECTORS])
def test_encoding_is_equal_to_gos_bytes(codec, vector):
    data = base64.b64decode(vector["proto"])
    api_version, kind, _ = split_envelope(data)
    assert codec.encode_object({"kind": kind, "apiVersion": api_version} | vector["json"]) == data


@pytest.mark.parametrize("vector", VECTORS, ids=[one["kind"] for one in VECTORS])
def test_gos_json_is_already_canonical(schemas, vector):
    api_version, kind = vector["json"].get("apiVersion", ""), vector["json"].get("kind", "")
    name = schemas.find_type_name(api_version, kind)
    if name is None:
        pytest.skip("generic kind")
    decoded, unknown = schemas.decode(name, vector["json"])
    assert (decoded, unknown) == (without_null_times(vector["json"]), [])


def without_null_times(value):
    """Go writes null for a pointer to an empty time, which no client can send."""
    if isinstance(value, dict):
        times = ("deletionTimestamp", "time", "lastScaleTime", "lastScheduleTime", "lastSuccessfulTime")
        return {k: without_null_times(v) for k, v in value.items() if not (v is None and k in times)}
    return [without_null_times(one) for one in value] if isinstance(value, list) else value


def test_fields_unknown_to_the_table_are_skipped(codec):
    known = codec.encode_object({"kind": "ConfigMap", "apiVersion": "v1", "data": {"k": "v"}})
    _, _, raw = split_envelope(known)
    extended = bytes.fromhex("aa06026869b00607bd0600000000") + raw
    body = b"k8s\x00" + b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap" + b"\x12" + bytes([len(extended)]) + extended
    assert codec.decode_object(body) == codec.decode_object(known)


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00\x0a\xff", b"k8s\x00\x12\x01\x00"])
def test_malformed_bodies_are_refused(codec, body):
    with pytest.raises(ProtobufError):
        codec.decode_object(body)


def test_every_cut_of_a_pod_is_an_error_or_an_object(codec):
    data = next(base64.b64decode(one["proto"]) for one in VECTORS if one["kind"] == "v1 Pod")
    for end in range(0, len(data), 7):
        try:
            assert codec.decode_object(data[:end])["kind"] == "Pod"
        except ProtobufError:
            continue


def test_kinds_without_messages_have_no_form(codec):
    with pytest.raises(KeyError):
        codec.encode_object({"apiVersion": "example.com/v1", "kind": "Toy"})


def test_watch_frames_hold_a_full_envelope(codec):
    pod = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "v"}}
    frame = codec.encode_watch_event("ADDED", pod)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    kind, envelope = split_watch_frame(frame[4:])
    assert kind == "ADDED"
    assert codec.decode_object(envelope) == pod
    assert frame_watch_event("ADDED", envelope) == frame


@pytest.mark.parametrize(
    "body",
    [
        b"\x08\x01",  # a number where the type of the envelope should be
        b"\x0a\x02\x08\x01",  # a number where the version should be
        b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x10\x01",  # a number where the object should be
        b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x07\x0a\x05\x42\x03\x0a\x01a",  # creationTimestamp whose seconds are text
    ],
)
def test_a_field_of_another_wire_type_is_refused(codec, body):
    with pytest.raises(ProtobufError):
        codec.decode_object(b"k8s\0" + body)


def test_times_of_the_first_years_have_four_digits(codec):
    lease = {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": "l", "creationTimestamp": "0001-01-01T00:00:03Z"},
        "spec": {"renewTime": "0001-01-01T00:00:02.000000Z"},
    }
    decoded = codec.decode_object(codec.encode_object(lease))
    assert decoded["spec"] == lease["spec"]
    assert decoded["metadata"]["creationTimestamp"] == "0001-01-01T00:00:03Z"
