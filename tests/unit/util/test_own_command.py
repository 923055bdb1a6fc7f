"""Another command of the same program, from however this one was started."""

import pytest

from k3py.util.own_command import find_command


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("python -m k3py agent --server=x --token=agent", "python -m k3py other"),
        ("/usr/local/bin/k3py agent", "/usr/local/bin/k3py other"),
        ("ld.so --library-path lib --argv0 python python -I -S -B packages agent", "ld.so --library-path lib --argv0 python python -I -S -B packages other"),
        ("python -m pytest tests", ""),
        ("agent", ""),
        ("", ""),
    ],
)
def test_what_stands_before_the_command_is_kept(tmp_path, words, found):
    file = tmp_path / "cmdline"
    file.write_bytes("".join(f"{word}\0" for word in words.split()).encode())
    assert find_command("agent", "other", command_line=file) == found.split()


def test_without_proc_there_is_none(tmp_path):
    assert find_command("agent", "other", command_line=tmp_path / "none") == []
