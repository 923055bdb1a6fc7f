"""How long responses may be kept."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.wire.dns import (
    AAAA,
    CNAME,
    NXDOMAIN,
    SERVFAIL,
    SOA,
    A,
    Answer,
    DnsError,
    Record,
    build_response,
    parse_query,
)
from k3py.wire.dns_lifetime import cut, is_truncated, read_lifetime, renew
from tests.support.dns import make_query, read_response

QUERY = parse_query(make_query("www.example.com", A, number=7, size=1232))


def response(*records, code=0, soa=None):
    return build_response(QUERY, Answer(code, records), authority=soa)


def test_the_shortest_time_of_the_answers_counts():
    data = response(Record("www.example.com", CNAME, 300, "web.example.com"), Record("web.example.com", A, 60, "192.0.2.1"))
    lifetime = read_lifetime(data)
    assert (lifetime.ttl_s, len(lifetime.offsets)) == (60, 2)


@pytest.mark.parametrize("code", [0, NXDOMAIN])
def test_negative_answers_live_as_long_as_their_soa_says(code):
    soa = Record("example.com", SOA, 900, "example.com")
    assert read_lifetime(response(code=code, soa=soa)).ttl_s == 5  # its last field, which is less than its own time
    assert read_lifetime(response(code=code)) is None


def test_failures_and_what_was_cut_off_are_not_kept():
    assert read_lifetime(response(code=SERVFAIL)) is None
    many = [Record("www.example.com", AAAA, 60, f"2001:db8::{number:x}") for number in range(100)]
    short = build_response(QUERY, Answer(0, tuple(many)), limit=512)
    assert is_truncated(short)
    assert read_lifetime(short) is None


def test_a_kept_response_answers_with_the_askers_spelling_id_and_what_is_left_of_its_time():
    data = response(Record("www.example.com", A, 60, "192.0.2.1"))
    again = parse_query(make_query("WWW.example.COM", A, number=99, size=1232))
    made = renew(data, read_lifetime(data), again, age_s=25)
    found = read_response(made)
    assert (found["id"], found["answers"]) == (99, [("WWW.example.COM", A, "192.0.2.1")])
    assert read_lifetime(made).ttl_s == 35
    assert read_lifetime(renew(data, read_lifetime(data), again, age_s=100)).ttl_s == 0


def test_what_does_not_fit_is_told_so():
    found = read_response(cut(response(Record("www.example.com", A, 60, "192.0.2.1")), QUERY))
    assert (found["truncated"], found["answers"], found["id"]) == (True, [], 7)


@given(st.binary(max_size=80))
def test_rubbish_is_refused_or_read_and_never_more(data):
    try:
        read_lifetime(struct.pack("!6H", 1, 0x8180, 1, 1, 1, 1) + data)
    except DnsError:
        return
