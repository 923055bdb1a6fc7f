"""etcd's ranges."""

import pytest

from k3py.datastore.mvcc.keyrange import contains, prefix_of


@pytest.mark.parametrize(
    ("start", "end", "inside", "outside"),
    [
        (b"/a", None, [b"/a"], [b"/", b"/a/", b"/a\0", b"/b"]),
        (b"/a", b"/c", [b"/a", b"/a\xff", b"/b"], [b"/", b"/c", b"/d"]),
        (b"/a", b"\0", [b"/a", b"\xff"], [b"/", b"\0"]),
        (b"/c", b"/a", [], [b"/a", b"/b", b"/c"]),
    ],
)
def test_contains(start, end, inside, outside):
    assert all(contains(start, end, key) for key in inside)
    assert not any(contains(start, end, key) for key in outside)


@pytest.mark.parametrize(
    ("start", "end", "prefix"),
    [
        (b"/a/", b"/a0", b"/a/"),
        (b"/a", b"/c", None),
        (b"/a", None, None),
        (b"\0", b"\0", None),
        (b"", b"\x01", None),
        (b"a\xff", b"b", None),
        (b"/a", b"\0", None),
    ],
)
def test_prefix_of_is_only_told_when_it_is_exact(start, end, prefix):
    assert prefix_of(start, end) == prefix
