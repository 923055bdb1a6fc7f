"""The cache holds the newest rows within its bound."""

from k3py.datastore.interface import Event, EventType, KeyValue
from k3py.datastore.mvcc.row_cache import ROW_OVERHEAD_BYTES, RowCache


def row(key, value=b"", revision=2):
    return KeyValue(key, value, 2, revision, 1)


def test_the_row_used_longest_ago_goes_first():
    cache = RowCache(bound_bytes=16 * (ROW_OVERHEAD_BYTES + 1))
    for number in range(16):
        cache.put(row(b"%x" % number))
    assert cache.get(b"0") is not None
    cache.put(row(b"x"))
    assert cache.get(b"1") is None
    assert cache.get(b"0") is not None
    assert cache.size_bytes == 16 * (ROW_OVERHEAD_BYTES + 1)


def test_a_row_that_would_push_out_many_is_not_kept_and_its_old_version_goes():
    cache = RowCache(bound_bytes=16_000)
    cache.put(row(b"a"))
    cache.put(row(b"a", b"x" * 2_000, revision=3))
    assert cache.get(b"a") is None
    assert cache.size_bytes == 0


def test_changes_are_followed():
    cache = RowCache(bound_bytes=100_000)
    new = row(b"a", b"2", revision=3)
    cache.apply(
        [Event(EventType.PUT, row(b"a", b"1")), Event(EventType.PUT, new), Event(EventType.PUT, row(b"b"))]
    )
    assert cache.get(b"a") is new
    cache.apply([Event(EventType.DELETE, KeyValue(b"b", b"", 0, 4, 0))])
    assert cache.get(b"b") is None
    cache.clear()
    assert (cache.get(b"a"), cache.size_bytes) == (None, 0)
