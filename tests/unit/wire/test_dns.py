"""DNS messages: what clients send is understood, what is sent back can be read, and rubbish does no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.wire.dns import (
    SRV,
    TXT,
    A,
    Answer,
    DnsError,
    Record,
    build_error,
    build_response,
    pack_name,
    parse_query,
)
from tests.support.dns import make_query, read_response


def test_a_query_is_read_with_its_size():
    query = parse_query(make_query("Web.Default.svc.cluster.local", A, number=99, size=1232))
    assert (query.id, query.name, query.type, query.max_bytes, query.edns) == (
        99,
        "Web.Default.svc.cluster.local",
        A,
        1232,
        True,
    )
    assert parse_query(make_query("a", A)).max_bytes == 512


def test_a_response_repeats_the_question_and_carries_the_records():
    query = parse_query(make_query("Name.x", SRV, size=4096))
    records = (Record("Name.x", SRV, 5, (0, 100, 80, "t.x")), Record("Name.x", TXT, 5, "hello"))
    read = read_response(build_response(query, Answer(records=records, extra=(Record("t.x", A, 5, "192.0.2.1"),))))
    assert read["id"] == query.id
    assert read["authoritative"]
    assert read["answers"] == [("Name.x", SRV, "0 100 80 t.x"), ("Name.x", TXT, "hello")]
    assert read["extra"] == [("t.x", A, "192.0.2.1")]


def test_what_does_not_fit_sets_the_truncation_bit():
    query = parse_query(make_query("a.b", A))
    many = tuple(Record("a.b", A, 5, f"10.0.{index // 256}.{index % 256}") for index in range(100))
    data = build_response(query, Answer(records=many), limit=512)
    read = read_response(data)
    assert len(data) <= 512
    assert read["truncated"]
    assert 0 < len(read["answers"]) < 100
    assert not read_response(build_response(query, Answer(records=many)))["truncated"]


@given(st.binary(max_size=80))
def test_rubbish_is_an_error_and_nothing_else(data):
    try:
        parse_query(data)
    except DnsError:
        assert len(build_error(data, 1)) in (0, 12)


@pytest.mark.parametrize("name", ["a" * 64, "a..b"])
def test_names_that_cannot_be_sent_are_refused(name):
    with pytest.raises(DnsError):
        pack_name(name)
