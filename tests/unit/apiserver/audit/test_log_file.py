"""Events reach the file in order, files are rotated, and a full disk makes requests wait rather than events vanish."""

import asyncio
import gzip

from k3py.apiserver.audit import log_file
from k3py.apiserver.audit.log_file import LogFile, LogFileSettings
from k3py.util.supervise import TaskScope


async def _until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def write(settings, lines):
    log = LogFile(settings)
    async with TaskScope() as scope:
        _ = scope.spawn(log.run(lambda: None), name="log")
        for line in lines:
            await log.room()
            log.take(line)
        await asyncio.sleep(0)
        scope.cancel()


async def test_all_events_are_there_in_order_after_a_stop(tmp_path):
    path = tmp_path / "logs" / "audit.log"
    lines = [b'{"n":%d}' % number for number in range(3000)]
    await write(LogFileSettings(path=path), lines)
    assert path.read_bytes().splitlines() == lines
    assert path.stat().st_mode & 0o777 == 0o600
    await write(LogFileSettings(path=path), [b"{}"])
    assert path.read_bytes().splitlines() == [*lines, b"{}"]


async def test_full_files_are_rotated_compressed_and_old_ones_removed(tmp_path):
    path = tmp_path / "audit.log"
    settings = LogFileSettings(path=path, most_megabytes=1, most_files=2, compress=True)
    log = LogFile(settings)
    big = b"x" * 700_000
    for number in range(5):
        log._append(b"%d" % number + big)
        await asyncio.sleep(0.002)  # names of rotated files differ by milliseconds
    packed = sorted(one for one in tmp_path.iterdir() if one != path)
    assert len(packed) == 2
    assert [gzip.decompress(one.read_bytes())[:1] for one in packed] == [b"2", b"3"]
    assert path.read_bytes()[:1] == b"4"


async def test_what_cannot_be_written_waits_and_is_written_later(tmp_path, monkeypatch):
    monkeypatch.setattr(log_file, "_TRY_AGAIN_S", 0.01)
    monkeypatch.setattr(log_file, "_MOST_UNWRITTEN", 2)
    path = tmp_path / "audit.log"
    path.mkdir()  # nothing can be written there
    log = LogFile(LogFileSettings(path=path))
    async with TaskScope() as scope:
        _ = scope.spawn(log.run(lambda: None), name="log")
        log.take(b"1")
        log.take(b"2")
        waiting = scope.spawn(log.room(), name="room")
        await asyncio.sleep(0.05)
        assert not waiting.done()
        path.rmdir()
        async with asyncio.timeout(30):
            await waiting
        await _until(lambda: path.is_file() and path.read_bytes() == b"1\n2\n")
        scope.cancel()
