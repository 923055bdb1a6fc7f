"""What is remembered of other name servers, and for how long."""

from k3py.network.dns.cache import LONGEST_S, AnswerCache
from k3py.util import clock
from k3py.wire.dns import NXDOMAIN, SOA, A, Answer, Record, build_response, parse_query
from tests.support.dns import make_query, read_response


def query(name="www.example.com", size=0):
    return parse_query(make_query(name, A, size=size))


def put(cache, name="www.example.com", ttl_s=10, address="192.0.2.1"):
    one = query(name)
    cache.put(one, build_response(one, Answer(0, (Record(name, A, ttl_s, address),))))


def test_answers_are_kept_as_long_as_they_say_and_no_longer_than_the_bound(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now[0])
    cache = AnswerCache()
    put(cache)
    put(cache, "long.example.com", ttl_s=9000)
    assert read_response(cache.find(query("WWW.EXAMPLE.com")))["answers"]
    now[0] += 10
    assert cache.find(query()) is None
    assert cache.find(query("long.example.com")) is not None
    now[0] += LONGEST_S
    assert cache.find(query("long.example.com")) is None


def test_that_there_is_nothing_is_kept_too():
    cache = AnswerCache()
    cache.put(query(), build_response(query(), Answer(NXDOMAIN), authority=Record("example.com", SOA, 60, "example.com")))
    assert read_response(cache.find(query()))["code"] == NXDOMAIN


def test_clients_with_and_without_edns_do_not_share_answers():
    cache = AnswerCache()
    put(cache)
    assert cache.find(query(size=1232)) is None


def test_the_least_used_answer_goes_first():
    cache = AnswerCache(most=2)
    put(cache, "a.example")
    put(cache, "b.example")
    assert cache.find(query("a.example"))
    put(cache, "c.example")
    assert [cache.find(query(name)) is not None for name in ("a.example", "b.example", "c.example")] == [True, False, True]
