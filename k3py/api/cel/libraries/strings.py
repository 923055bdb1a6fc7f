"""Strings: the standard functions and cel-go's extension in version 2, without reverse()."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.libraries.times import format_duration, format_timestamp
from k3py.api.cel.overload import (
    TRAVERSAL,
    UNKNOWN,
    Overload,
    Size,
    add,
    member,
    multiply,
    scale,
    searching,
    traversal,
)  # fmt: skip
from k3py.api.cel.types import BOOL, DYN, INT, STRING, CelType, list_of
from k3py.api.cel.values import Duration, format_double, to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonValue

_LIST: Final = list_of(STRING)
_UPPER: Final = str.maketrans({chr(code): chr(code - 32) for code in range(ord("a"), ord("z") + 1)})
_LOWER: Final = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
_SPACES: Final = " \t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_ESCAPES: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationFault(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if start < 0 or (part and start > len(text)):
        raise EvaluationFault(f"index out of range: {start}")
    return start if not part else text.find(part, start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    if start is not None and not 0 <= start < max(len(text), 1):
        raise EvaluationFault(f"index out of range: {start}")
    if not part:
        return len(text) if start is None else start
    return text.rfind(part) if start is None else text.rfind(part, 0, start + len(part))


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= len(text):
        raise EvaluationFault(f"index out of range: {start}")
    if not 0 <= stop <= len(text):
        raise EvaluationFault(f"index out of range: {stop}")
    if start > stop:
        raise EvaluationFault(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        chars = list(text)
        return (
            chars if limit < 0 or len(chars) <= limit else [*chars[: limit - 1], "".join(chars[limit - 1 :])]
        )
    return text.split(separator, -1 if limit < 0 else limit - 1)


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, limit)


def _join(values: list[JsonValue], separator: str = "") -> str:
    if not all(isinstance(one, str) for one in values):
        raise EvaluationFault("no such overload")
    return separator.join(values)


def _quote(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'


def _format(text: str, args: list[JsonValue]) -> str:
    out: list[str] = []
    at, used = 0, 0
    while (found := text.find("%", at)) >= 0:
        out.append(text[at:found])
        at = found + 1
        if text[at : at + 1] == "%":
            out.append("%")
            at += 1
            continue
        precision = None
        if text[at : at + 1] == ".":
            end = at + 1
            while text[end : end + 1].isdigit():
                end += 1
            precision, at = int(text[at + 1 : end] or 0), end
        if used >= len(args):
            raise EvaluationFault(f"index {used} out of range")
        out.append(_clause(text[at : at + 1], args[used], 6 if precision is None else precision))
        used, at = used + 1, at + 1
    return "".join(out) + text[at:]


def _clause(verb: str, value: JsonValue, precision: int) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    if verb == "s":
        return _shown(value)
    if verb == "d" and whole:
        return str(int(value))
    if verb == "f" and number:
        return f"{value:.{precision}f}"
    if verb == "e" and number:
        return f"{value:.{precision}e}"
    if verb == "b" and (whole or isinstance(value, bool)):
        return format(int(value), "b")
    if verb in "xX" and verb:
        text = (
            format(int(value), "x") if whole else (value.encode() if isinstance(value, str) else value).hex()
        )
        return text.upper() if verb == "X" else text
    if verb == "o" and whole:
        return format(int(value), "o")
    raise EvaluationFault(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')


def _shown(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | str):
        return to_text(value)
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{_shown(key)}: {_shown(one)}" for key, one in value.items())) + "}"
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, CelType):
        return str(value)
    return format_timestamp(value) if hasattr(value, "tzinfo") else str(value)


def _cost_replace(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    text, old, new = sizes[0], sizes[1], sizes[2]
    most = (
        multiply((0, text[1] + 1), (0, new[1]))[1] if old[0] == 0 else (text[1] // old[0]) * new[1] + text[1]
    )
    return scale(text, TRAVERSAL), (0, min(max(most, text[1]), UNKNOWN[1]))


def _cost_split(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    return scale(sizes[0], TRAVERSAL), (0, sizes[0][1])


def _cost_join(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    # how long the entries are is not known
    return UNKNOWN if sizes[0][0] != sizes[0][1] or sizes[0][1] else (0, 0), UNKNOWN


def _cost_part(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    return scale(sizes[0], TRAVERSAL), (0, sizes[0][1])


def _cost_quote(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    return scale(sizes[0], TRAVERSAL), add(multiply(sizes[0], (1, 2)), (2, 2))


_PREFIX: Final = traversal(1)
OVERLOADS: Final = (
    member("contains", (STRING, STRING), BOOL, lambda text, part: part in text, searching),
    member("startsWith", (STRING, STRING), BOOL, str.startswith, _PREFIX),
    member("endsWith", (STRING, STRING), BOOL, str.endswith, _PREFIX),
    member("charAt", (STRING, INT), STRING, _char_at, lambda _sizes: ((1, 1), (0, 1))),
    member("indexOf", (STRING, STRING), INT, _index_of, searching),
    member("indexOf", (STRING, STRING, INT), INT, _index_of, searching),
    member("lastIndexOf", (STRING, STRING), INT, _last_index_of, searching),
    member("lastIndexOf", (STRING, STRING, INT), INT, _last_index_of, searching),
    member("lowerAscii", (STRING,), STRING, lambda text: text.translate(_LOWER), traversal(keeps_size=True)),
    member("upperAscii", (STRING,), STRING, lambda text: text.translate(_UPPER), traversal(keeps_size=True)),
    member("replace", (STRING, STRING, STRING), STRING, _replace, _cost_replace),
    member("replace", (STRING, STRING, STRING, INT), STRING, _replace, _cost_replace),
    member("split", (STRING, STRING), _LIST, _split, _cost_split),
    member("split", (STRING, STRING, INT), _LIST, _split, _cost_split),
    member("substring", (STRING, INT), STRING, _substring, _cost_part),
    member("substring", (STRING, INT, INT), STRING, _substring, _cost_part),
    member("trim", (STRING,), STRING, lambda text: text.strip(_SPACES), _cost_part),
    member("join", (_LIST,), STRING, _join, _cost_join),
    member("join", (_LIST, STRING), STRING, _join, _cost_join),
    member("format", (STRING, list_of(DYN)), STRING, _format, traversal()),
    Overload("strings.quote", (STRING,), STRING, _quote, cost=_cost_quote),
)
