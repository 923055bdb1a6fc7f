"""JSONPath of printer columns: .a.b, ['a'], [0], [-1], [*], [?(@.type=="Ready")], ..a.

Source: k8s.io/client-go/util/jsonpath v0.35 (the parts that one path can use).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from k3py.jsontypes import JsonValue

    Step = Callable[[JsonValue], Iterable[JsonValue]]

_FIELD: Final = re.compile(r"\.((?:\\.|[^\\.\[\s])+)")
_DEEP: Final = re.compile(r"\.\.((?:\\.|[^\\.\[\s])+)")
_QUOTED: Final = re.compile(r"""\[(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")\]""")
_INDEX: Final = re.compile(r"\[(-?\d+)\]")
_SLICE: Final = re.compile(r"\[(-?\d*):(-?\d*)(?::(\d*))?\]|\[\*\]")
_FILTER: Final = re.compile(
    r"""\[\?\(\s*@((?:\.[\w\-/\\.]+)?)\s*(?:(==|!=|<=|>=|<|>)\s*("[^"]*"|'[^']*'|-?[\d.]+|true|false))?\s*\)\]"""
)


class PathError(K3pyError):
    """Not a path that columns can have."""


def compile_path(text: str) -> Callable[[JsonValue], list[JsonValue]]:
    """Return a function that gives all values at a path, none when something on the way is missing.

    Raises:
        PathError: it cannot be parsed.
    """
    steps = list(_parse(text))

    def find(value: JsonValue) -> list[JsonValue]:
        values: list[JsonValue] = [value]
        for step in steps:
            values = [inner for one in values for inner in step(one)]
        return values

    return find


def _parse(text: str) -> Iterator[Step]:
    at = 0
    while at < len(text):
        rest = text[at:]
        if rest == ".":
            return
        if found := _DEEP.match(rest):
            yield _deep(_unescape(found[1]))
        elif rest.startswith(".["):
            at += 1
            continue
        elif found := _FIELD.match(rest):
            yield _wildcard if found[1] == "*" else _field(_unescape(found[1]))
        elif found := _QUOTED.match(rest):
            yield _field(_unescape(found[1] if found[1] is not None else found[2]))
        elif found := _INDEX.match(rest):
            yield _index(int(found[1]))
        elif found := _SLICE.match(rest):
            yield _wildcard if found[0] == "[*]" else _slice(found[1], found[2], found[3])
        elif found := _FILTER.match(rest):
            yield _filter(found[1], found[2], found[3])
        else:
            raise PathError(f"unrecognized path {rest!r} in {text!r}")
        at += found.end()


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _field(name: str) -> Step:
    return lambda value: (value[name],) if isinstance(value, dict) and name in value else ()


def _deep(name: str) -> Step:
    def find(value: JsonValue) -> Iterator[JsonValue]:
        if isinstance(value, dict):
            if name in value:
                yield value[name]
            for one in value.values():
                yield from find(one)
        elif isinstance(value, list):
            for one in value:
                yield from find(one)

    return find


def _wildcard(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _index(at: int) -> Step:
    return lambda value: (value[at],) if isinstance(value, list) and -len(value) <= at < len(value) else ()


def _slice(start: str, end: str, step: str | None) -> Step:
    cut = slice(int(start) if start else None, int(end) if end else None, int(step) if step else None)
    return lambda value: value[cut] if isinstance(value, list) else ()


def _filter(path: str, operator: str | None, literal: str | None) -> Step:
    inner = compile_path(path) if path else (lambda value: [value])
    wanted = _literal(literal) if literal is not None else None

    def accepts(value: JsonValue) -> bool:
        found = inner(value)
        if not found:
            return False
        return operator is None or _compare(found[0], operator, wanted)

    return lambda value: [one for one in value if accepts(one)] if isinstance(value, list) else ()


def _literal(text: str) -> JsonValue:
    if text[0] in "\"'":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    return float(text) if "." in text else int(text)


def _compare(left: JsonValue, operator: str, right: JsonValue) -> bool:
    if operator in ("==", "!="):
        return (left == right) is (operator == "==")
    try:
        return bool(
            {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]
        )
    except TypeError:
        return False
