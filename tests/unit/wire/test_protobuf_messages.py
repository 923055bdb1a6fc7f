"""The codec of CRI messages, checked against bytes written by hand from the protobuf encoding rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.wire.cri_protobuf import load_cri_messages
from k3py.wire.etcd_protobuf import encode_key_value, load_etcd_messages
from k3py.wire.protobuf_messages import ProtobufMessages
from k3py.wire.varint import ProtobufError

TABLE = """\
M\ttest.All\t1 text string\t2 data bytes\t3 flag bool\t4 small int32\t5 big uint64\t6 real double\t7 color test.Color\t8 child test.All\t9 many *test.All\t10 words *string\t11 numbers *int32\t12 labels map<string,string>
E\ttest.Color\tRED=0\tGREEN=1
R\t/test.S/Do\ttest.All\ttest.All\tserver
"""
CODEC = ProtobufMessages(TABLE)


def test_scalars_are_written_by_the_rules_of_protobuf():
    doc = {
        "text": "hé",
        "data": b"\x00",
        "flag": True,
        "small": -1,
        "big": 300,
        "real": 1.0,
        "color": "GREEN",
    }
    assert CODEC.encode("test.All", doc).hex() == (
        "0a0368c3a9120100180120ffffffffffffffffff0128ac0231000000000000f03f3801"
    )


def test_zero_values_and_none_are_not_sent_but_empty_messages_are():
    doc = {"text": "", "small": 0, "data": b"", "flag": False, "words": [], "many": None, "child": {}}
    assert CODEC.encode("test.All", doc).hex() == "4200"


def test_absent_scalars_lists_and_maps_are_filled_in_and_absent_messages_left_out():
    assert CODEC.decode("test.All", b"") == {
        "text": "", "data": b"", "flag": False, "small": 0, "big": 0, "real": 0.0, "color": "RED",
        "many": [], "words": [], "numbers": [], "labels": {},
    }  # fmt: skip


def test_packed_and_unpacked_numbers_are_both_read():
    assert CODEC.decode("test.All", bytes.fromhex("58015802"))["numbers"] == [1, 2]
    assert CODEC.decode("test.All", bytes.fromhex("5a0301ac02"))["numbers"] == [1, 300]


def test_map_entries_may_lack_their_key_or_value():
    assert CODEC.decode("test.All", bytes.fromhex("6200"))["labels"] == {"": ""}
    assert CODEC.decode("test.All", bytes.fromhex("62030a0161"))["labels"] == {"a": ""}


def test_unknown_fields_are_skipped_and_unknown_enum_numbers_stay_numbers():
    assert CODEC.decode("test.All", bytes.fromhex("f80101fa0101613805"))["color"] == 5


@pytest.mark.parametrize("data", ["0a05", "0a", "0801", "31"])
def test_broken_bytes_are_refused(data):
    with pytest.raises(ProtobufError):
        CODEC.decode("test.All", bytes.fromhex(data))


def test_a_misspelt_field_is_an_error_not_silence():
    with pytest.raises(KeyError):
        CODEC.encode("test.All", {"txet": "x"})


documents = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "text": st.text(max_size=5), "data": st.binary(max_size=5), "flag": st.booleans(),
            "small": st.integers(-(2**31), 2**31 - 1), "big": st.integers(0, 2**64 - 1),
            "real": st.floats(allow_nan=False), "color": st.sampled_from(["RED", "GREEN"]),
            "words": st.lists(st.text(max_size=3), max_size=3), "numbers": st.lists(st.integers(-5, 5), max_size=3),
            "labels": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
        },
    ),
    lambda child: st.fixed_dictionaries({"child": child, "many": st.lists(child, max_size=2)}),
    max_leaves=3,
)  # fmt: skip


def filled(doc):
    done = CODEC.decode("test.All", b"") | doc
    if "child" in done:
        done["child"] = filled(done["child"])
    done["many"] = [filled(item) for item in done["many"]]
    return done


@given(documents)
def test_what_is_encoded_is_decoded_again(doc):
    assert CODEC.decode("test.All", CODEC.encode("test.All", doc)) == filled(doc)


def test_every_message_of_the_real_table_compiles_and_methods_name_known_messages():
    codec = load_cri_messages()
    for name in tuple(codec._lines):
        assert codec.encode(name, {}) == b""
        assert codec.decode(name, b"") is not None
    for path in codec._methods:
        method = codec.method(path)
        assert method.request in codec._lines
        assert method.response in codec._lines


def test_a_status_of_cri_is_read():
    codec = load_cri_messages()
    data = codec.encode(
        "runtime.v1.ContainerStatusResponse",
        {"status": {"id": "a", "state": "CONTAINER_EXITED", "exit_code": -1}},
    )
    status = codec.decode("runtime.v1.ContainerStatusResponse", data)["status"]
    assert (status["state"], status["exit_code"], status["finished_at"]) == ("CONTAINER_EXITED", -1, 0)


def test_a_scalar_of_a_oneof_is_present_or_absent():
    codec = load_etcd_messages()
    compare = {"key": b"a", "target": "VALUE", "value": b""}
    decoded = codec.decode("etcdserverpb.Compare", codec.encode("etcdserverpb.Compare", compare))
    assert decoded["value"] == b""
    assert "version" not in decoded


def test_a_message_may_be_given_as_its_bytes():
    codec = load_etcd_messages()
    row = {"key": b"a", "value": b"b", "create_revision": 2, "mod_revision": 300, "version": 1, "lease": 1 << 62}
    encoded = codec.encode("mvccpb.KeyValue", row)
    as_bytes = codec.encode("etcdserverpb.RangeResponse", {"kvs": [encoded, encoded]})
    assert as_bytes == codec.encode("etcdserverpb.RangeResponse", {"kvs": [row, row]})


@pytest.mark.parametrize("lease", [0, 7, (1 << 63) - 1])
@pytest.mark.parametrize("value", [b"", b"v" * 300])
def test_rows_encoded_by_hand_are_those_of_the_table(value, lease):
    numbers = {"create_revision": 2, "mod_revision": 1 << 40, "version": 129, "lease": lease}
    by_hand = encode_key_value(b"/key", value, **numbers)
    table = load_etcd_messages().encode("mvccpb.KeyValue", {"key": b"/key", "value": value, **numbers})
    assert by_hand == table
