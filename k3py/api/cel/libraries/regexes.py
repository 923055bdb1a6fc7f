"""Regular expressions: matches, find, findAll."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, matching, member
from k3py.api.cel.types import BOOL, INT, STRING, list_of
from k3py.api.go_regex import PatternError, compile_pattern

if TYPE_CHECKING:
    from k3py.api.go_regex import Pattern


def _compile(pattern: str) -> Pattern:
    try:
        return compile_pattern(pattern)
    except PatternError as error:
        raise EvaluationFault(str(error)) from error


def _matches(text: str, pattern: str) -> bool:
    return _compile(pattern).search(text) is not None


def _find(text: str, pattern: str) -> str:
    found = _compile(pattern).search(text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [one[0] for one in _compile(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


OVERLOADS: Final = (
    member("matches", (STRING, STRING), BOOL, _matches, matching),
    Overload("matches", (STRING, STRING), BOOL, _matches, cost=matching),
    member("find", (STRING, STRING), STRING, _find, matching),
    member("findAll", (STRING, STRING), list_of(STRING), _find_all, matching),
    member("findAll", (STRING, STRING, INT), list_of(STRING), _find_all, matching),
)
