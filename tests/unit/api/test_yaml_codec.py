"""YAML 1.1 through JSON."""

from __future__ import annotations

import pytest

from k3py.api import yaml_codec
from k3py.api.status import ApiError


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("a: yes", {"a": True}),
        ("on: 1", {"true": 1}),
        ("1: a", {"1": "a"}),
        ("null: a", {"null": "a"}),
        ("t: 2020-01-01T00:00:00Z", {"t": "2020-01-01T00:00:00Z"}),
        ("a: &x {b: c}\nd: *x", {"a": {"b": "c"}, "d": {"b": "c"}}),
        ("a: &x {b: c}\nd: {<<: *x, e: f}", {"a": {"b": "c"}, "d": {"b": "c", "e": "f"}}),
        ("a: b\n---\nc: d", {"a": "b"}),
        ("a: 0x10", {"a": 16}),
    ],
)
def test_load(text, document):
    assert yaml_codec.load(text.encode()) == document


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\ta: b"])
def test_faults_are_400(text):
    with pytest.raises(ApiError) as raised:
        yaml_codec.load(text.encode())
    assert raised.value.code == 400


def test_dump_is_read_back_and_has_no_anchors():
    shared = {"x": "y"}
    document = {"b": shared, "a": shared, "text": "two\nlines\n", "number": "1", "none": None, "on": "yes"}
    text = yaml_codec.dump(document)
    assert b"&" not in text
    assert yaml_codec.load(text)["number"] == "1"
    assert yaml_codec.load(text)["b"] == shared


def test_all_documents_are_read_and_empty_ones_left_out():
    assert yaml_codec.load_all(b"---\na: 1\n---\n# nothing\n---\nb: 2020-01-01\n") == [{"a": 1}, {"b": "2020-01-01"}]
    with pytest.raises(ApiError):
        yaml_codec.load_all(b"a: [")


def test_keys_that_stand_twice_are_told_by_lines_as_go_tells_them():
    text = b"""
kind: A
spec:
  foo: foo1
  list:
  - {name: x, "name": y}
  foo:
    deep: 1
    deep: 2
1: a
1: b
"""
    assert yaml_codec.find_repeated_keys(text) == [
        'line 6: key "name" already set in map',
        'line 8: key "foo" already set in map',
        'line 9: key "deep" already set in map',
        "line 11: key 1 already set in map",
    ]
    assert yaml_codec.find_repeated_keys(b"a: 1\nb: {a: 1}\n") == []
    assert yaml_codec.find_repeated_keys(b"a: [") == []
