"""Paths of printer columns."""

from __future__ import annotations

import pytest

from k3py.apiserver.crd.json_path import PathError, compile_path

OBJ = {"a": {"b": [{"k": "x", "v": 1}, {"k": "y", "v": 2}], "example.com/z": "q"}, "n": None}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".", [OBJ]),
        (".a.b[0].k", ["x"]),
        (".a.b[-1].v", [2]),
        (".a.b[*].v", [1, 2]),
        (".a.b[1:].k", ["y"]),
        ('.a.b[?(@.k=="y")].v', [2]),
        (".a.b[?(@.v>1)].k", ["y"]),
        (".a.example\\.com/z", ["q"]),
        (".a['example.com/z']", ["q"]),
        ("..k", ["x", "y"]),
        (".a.none.deeper", []),
        (".a.b[9]", []),
        (".n", [None]),
    ],
)
def test_finds(path, found):
    assert compile_path(path)(OBJ) == found


def test_what_cannot_be_parsed_is_refused():
    with pytest.raises(PathError):
        compile_path(".spec[")
