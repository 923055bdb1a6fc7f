"""Container logs stay bounded (data/kubelet.tsv containerLogMaxSize / MaxFiles)."""

from __future__ import annotations

import gzip

from k3py.kubelet.log_rotation import find_large, move_away


def test_only_large_files_are_found(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 11)
    (tmp_path / "b").write_bytes(b"x" * 10)
    logs = [(name, tmp_path / name) for name in ("a", "b", "gone")]
    assert find_large(logs, max_size_bytes=10) == [("a", tmp_path / "a")]


def test_older_files_are_compressed_and_the_oldest_removed(tmp_path):
    path = tmp_path / "0.log"
    for number in range(1, 6):
        (tmp_path / f"0.log.2025010{number}-000000").write_text(f"old {number}")
    path.write_text("new")
    move_away(path, max_files=5)
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names[:3] == [f"0.log.2025010{number}-000000.gz" for number in (3, 4, 5)]
    assert len(names) == 4
    assert gzip.decompress((tmp_path / names[0]).read_bytes()) == b"old 3"
    assert (tmp_path / names[3]).read_text() == "new"
