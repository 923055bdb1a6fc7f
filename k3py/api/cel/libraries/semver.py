"""Semantic versions. Source: k8s.io/apiserver/pkg/cel/library/semverlib.go v0.35."""

from __future__ import annotations

import re
from typing import ClassVar, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, member, traversal
from k3py.api.cel.types import BOOL, INT, SEMVER, STRING, CelType

_NUMBER: Final = r"(0|[1-9]\d*)"
_VERSION: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?",
    re.ASCII,
)


class Semver:
    """A version; what follows "+" does not count."""

    __slots__ = ("numbers", "pre")
    cel_type: ClassVar[CelType] = SEMVER

    def __init__(self, text: str) -> None:
        found = _VERSION.fullmatch(text)
        if found is None:
            raise EvaluationFault(f"invalid semantic version {text!r}")
        self.numbers = (int(found[1]), int(found[2]), int(found[3]))
        self.pre = tuple((found[4] or "").split(".")) if found[4] else ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self.compare_to(other) == 0

    def __hash__(self) -> int:
        return hash((self.numbers, self.pre))

    def compare_to(self, other: Semver) -> int:
        """Return -1, 0 or 1."""
        left, right = _key(self), _key(other)
        return (left > right) - (left < right)


def _key(one: Semver) -> tuple[tuple[int, int, int], bool, list[tuple[bool, int, str]]]:
    parts = [(False, int(part), "") if part.isdigit() else (True, 0, part) for part in one.pre]
    return one.numbers, not one.pre, parts


def _normalise(text: str) -> str:
    bare = text.removeprefix("v")
    core, mark, rest = bare, "", ""
    for sign in "-+":
        head, found, tail = bare.partition(sign)
        if found and len(head) < len(core):
            core, mark, rest = head, found, tail
    numbers = [part.lstrip("0") or "0" if part.isdigit() else part for part in core.split(".")]
    return ".".join([*numbers, *["0"] * (3 - len(numbers))]) + mark + rest


def _parse(text: str, normalise: bool = False) -> Semver:
    return Semver(_normalise(text) if normalise else text)


def _is_semver(text: str, normalise: bool = False) -> bool:
    try:
        _parse(text, normalise)
    except EvaluationFault:
        return False
    return True


_READING: Final = traversal()
OVERLOADS: Final = (
    Overload("semver", (STRING,), SEMVER, _parse, cost=_READING),
    Overload("semver", (STRING, BOOL), SEMVER, _parse, cost=_READING),
    Overload("isSemver", (STRING,), BOOL, _is_semver, cost=_READING),
    Overload("isSemver", (STRING, BOOL), BOOL, _is_semver, cost=_READING),
    member("major", (SEMVER,), INT, lambda one: one.numbers[0]),
    member("minor", (SEMVER,), INT, lambda one: one.numbers[1]),
    member("patch", (SEMVER,), INT, lambda one: one.numbers[2]),
    member("isLessThan", (SEMVER, SEMVER), BOOL, lambda one, other: one.compare_to(other) < 0),
    member("isGreaterThan", (SEMVER, SEMVER), BOOL, lambda one, other: one.compare_to(other) > 0),
    member("compareTo", (SEMVER, SEMVER), INT, Semver.compare_to),
)
