"""Files of a volume change all at once."""

from __future__ import annotations

from k3py.kubelet.volumes.atomic_writer import FilePayload, write_payload


def read(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith("..")}


def test_files_are_links_through_data(tmp_path):
    assert write_payload(tmp_path, {"a": FilePayload(b"1", 0o644), "d/b": FilePayload(b"2", 0o400)})
    assert (tmp_path / "a").readlink().as_posix() == "..data/a"
    assert (tmp_path / "d/b").read_text() == "2"
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o400


def test_an_update_replaces_removes_and_cleans(tmp_path):
    write_payload(tmp_path, {"a": FilePayload(b"1", 0o644), "b": FilePayload(b"2", 0o644)})
    first = (tmp_path / "..data").readlink()
    assert write_payload(tmp_path, {"b": FilePayload(b"3", 0o644), "c": FilePayload(b"4", 0o644)})
    assert read(tmp_path) == {"b": "3", "c": "4"}
    assert not (tmp_path / first).exists()


def test_the_same_again_changes_nothing(tmp_path):
    payload = {"a": FilePayload(b"1", 0o640), "d/b": FilePayload(b"2", 0o644)}
    write_payload(tmp_path, payload)
    assert not write_payload(tmp_path, payload)
    assert write_payload(tmp_path, {**payload, "a": FilePayload(b"1", 0o600)})


def test_no_files_is_a_volume_too(tmp_path):
    assert write_payload(tmp_path, {})
    assert not write_payload(tmp_path, {})
    assert read(tmp_path) == {}
