"""Logs as the kubelet serves them."""

from __future__ import annotations

import asyncio

import pytest

from k3py.kubelet.server.errors import RequestError
from k3py.kubelet.server.log_options import LineFilter, LogOptions, parse_options
from k3py.kubelet.server.log_reader import CHUNK_BYTES, find_tail, read_log

LINE = b"2026-01-01T00:00:0%d.123456789Z stdout F line %d\n"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(LINE % (n, n) for n in range(5)))
    return path


def over():
    event = asyncio.Event()
    event.set()
    return event


async def read(path, **options):
    return b"".join([piece async for piece in read_log(path, LogOptions(**options), over())])


async def test_all_and_the_last_lines(log):
    assert (await read(log)).count(b"\n") == 5
    assert await read(log, tail_lines=2) == b"line 3\nline 4\n"
    assert await read(log, tail_lines=0) == b""
    assert await read(log, tail_lines=99) == await read(log)


async def test_time_stamps_since_and_limit(log):
    assert (await read(log, timestamps=True, tail_lines=1)).startswith(
        b"2026-01-01T00:00:04.123456789Z line 4"
    )
    since_s = 1767225603.0
    assert await read(log, since_s=since_s) == b"line 3\nline 4\n"
    assert await read(log, limit_bytes=9) == b"line 0\nli"


def test_partial_lines_are_joined():
    lines = LineFilter(LogOptions(timestamps=True))
    parts = [b"t stdout P ab", b"t stdout P cd", b"t stdout F ef", b"u stderr F x"]
    assert b"".join(map(lines.convert, parts)) == b"t abcdef\nu x\n"


def test_one_stream_can_be_chosen():
    lines = LineFilter(LogOptions(stream="stderr"))
    assert lines.convert(b"t stdout F a") == b""
    assert lines.convert(b"t stderr F b") == b"b\n"


def test_the_tail_of_a_long_file_is_found(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100 + b"\n" + b"".join(b"%07d\n" % n for n in range(CHUNK_BYTES // 4)))
    with path.open("rb") as file:
        file.seek(find_tail(file, CHUNK_BYTES // 8))
        assert len(file.read()) == CHUNK_BYTES // 8 * 8


async def test_following_sees_new_lines_rotation_and_the_end(log):
    ended = asyncio.Event()
    seen = []

    async def follow():
        async for piece in read_log(log, LogOptions(follow=True, tail_lines=1), ended):
            seen.append(piece)

    async def until(count):
        for _ in range(2000):
            if b"".join(seen).count(b"\n") >= count:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(seen)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow())
        await until(1)
        with log.open("ab") as file:
            file.write(LINE % (5, 5))
        await until(2)
        log.rename(log.with_name("0.log.old"))
        log.write_bytes(LINE % (6, 6))
        await until(3)
        assert not task.done()
        ended.set()
    assert b"".join(seen) == b"line 4\nline 5\nline 6\n"


def test_the_query_is_read():
    found = parse_options({"tailLines": "3", "sinceSeconds": "10", "follow": "true"}, 100.0)
    assert (found.tail_lines, found.since_s, found.follow) == (3, 90.0, True)
    with pytest.raises(RequestError):
        parse_options({"tailLines": "x"}, 0.0)
