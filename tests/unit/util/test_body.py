"""Answers of other servers: whole, or refused as too long."""

import pytest

from k3py.util.body import BodyTooLong, read_bounded


class Pieces:
    def __init__(self, *pieces):
        self.left = list(pieces)

    async def readany(self):
        return self.left.pop(0) if self.left else b""


async def test_all_pieces_are_read():
    assert await read_bounded(Pieces(b"ab", b"c", b"de"), 5) == b"abcde"


async def test_no_more_is_read_than_is_allowed():
    pieces = Pieces(b"ab", b"cd", b"ef")
    with pytest.raises(BodyTooLong, match="longer than 3 bytes"):
        await read_bounded(pieces, 3)
    assert pieces.left == [b"ef"]
