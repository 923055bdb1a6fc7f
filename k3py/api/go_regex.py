r"""Go's regular expressions (RE2 syntax) on Python's `re`: what RE2 has not is refused, what differs is translated.

Source: https://github.com/google/re2/wiki/Syntax; Go's regexp package. Differences that remain: Unicode classes other than the common ones
are refused; matching is by backtracking.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from k3py.errors import K3pyError

_POSIX: Final = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\t-\\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
# Ranges that hold the common letters; exact tables are megabytes.
_LETTERS: Final = (
    "A-Za-z\\u00aa\\u00b5\\u00ba\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u02c1\\u0370-\\u1fff\\u2c00-\\u2dff\\u3040-\\ud7ff"
    "\\uf900-\\uffdc"
)
_UNICODE: Final = {
    "L": _LETTERS,
    "N": "0-9\\u0660-\\u0669\\uff10-\\uff19",
    "Nd": "0-9\\u0660-\\u0669\\uff10-\\uff19",
    "Lu": "A-Z\\u00c0-\\u00d6\\u00d8-\\u00de\\u0391-\\u03a9\\u0410-\\u042f",
    "Ll": "a-z\\u00df-\\u00f6\\u00f8-\\u00ff\\u03b1-\\u03c9\\u0430-\\u044f",
}
_GROUP_FLAGS: Final = re.compile(r"\(\?[imsU]*(-[imsU]+)?[:)]|\(\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_REPEAT: Final = re.compile(r"\{(\d+)(,(\d*))?\}")
_MOST_REPEATS: Final = 1000


class PatternError(K3pyError):
    """A pattern that Go would not compile; the text is Go's, as far as it is known."""


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern; search with it, as Go's MatchString does.

    Raises:
        PatternError: not a valid RE2 pattern.
    """
    translated, flags = _translate(pattern)
    try:
        return re.compile(flags + translated, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"error parsing regexp: {error}: `{pattern}`") from error


def _translate(pattern: str) -> tuple[str, str]:  # noqa: C901 - one branch a construct
    out: list[str] = []
    at, in_class, flags = 0, False, ""
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            piece, at = _escape(pattern, at, in_class=in_class)
            out.append(piece)
            continue
        if in_class:
            piece, at, in_class = _class_part(pattern, at)
            out.append(piece)
            continue
        if char == "[":
            in_class = True
            opening = "[^" if pattern.startswith("[^", at) else "["
            out.append(opening)
            at += len(opening)
            if pattern.startswith("]", at):
                out.append("\\]")
                at += 1
            continue
        if char == "(" and pattern.startswith("(?", at):
            found = _GROUP_FLAGS.match(pattern, at)
            if found is None:
                raise PatternError(
                    f"error parsing regexp: invalid or unsupported Perl syntax: `{pattern[at : at + 3]}`"
                )
            text = found[0].replace("U", "")
            if text.startswith("(?") and text.endswith(")"):
                if not out:
                    flags += text if text != "(?)" else ""
                    at = found.end()
                    continue
                raise PatternError(
                    f"error parsing regexp: flags inside a pattern are not supported: `{text}`"
                )
            out.append("(?P<" + text[3:] if text.startswith("(?<") else text)
            at = found.end()
            continue
        if char == "$":
            out.append("$" if "m" in flags else "\\Z")
        elif char == "{" and (repeat := _REPEAT.match(pattern, at)):
            if max(int(repeat[1]), int(repeat[3] or 0)) > _MOST_REPEATS:
                raise PatternError(f"error parsing regexp: invalid repeat count: `{repeat[0]}`")
            out.append(repeat[0])
            at = repeat.end()
            continue
        elif char == "{":
            out.append("\\{")
        elif char in "*+?" and pattern.startswith("+", at + 1):
            raise PatternError(f"error parsing regexp: invalid nested repetition operator: `{char}+`")
        else:
            out.append(char)
        at += 1
    if in_class:
        raise PatternError(f"error parsing regexp: missing closing ]: `{pattern}`")
    return "".join(out), flags


def _class_part(pattern: str, at: int) -> tuple[str, int, bool]:
    if pattern.startswith("[:", at) and (end := pattern.find(":]", at)) > 0:
        name = pattern[at + 2 : end]
        if name not in _POSIX:
            raise PatternError(f"error parsing regexp: invalid character class range: `[:{name}:]`")
        return _POSIX[name], end + 2, True
    char = pattern[at]
    if char == "[":
        return "\\[", at + 1, True
    return char, at + 1, char != "]"


def _escape(pattern: str, at: int, *, in_class: bool) -> tuple[str, int]:
    if at + 1 >= len(pattern):
        raise PatternError("error parsing regexp: trailing backslash at end of expression")
    char = pattern[at + 1]
    if char in "pP":
        end = pattern.find("}", at) if pattern.startswith("{", at + 2) else at + 2
        name = pattern[at + 2 : end + 1].strip("{}")
        if name not in _UNICODE:
            raise PatternError(f"error parsing regexp: invalid character class range: `\\p{{{name}}}`")
        inside = _UNICODE[name]
        if in_class and char == "P":
            raise PatternError(f"error parsing regexp: negated Unicode class inside a class: `\\P{{{name}}}`")
        if in_class:
            return inside, end + 1
        return f"[{'^' if char == 'P' else ''}{inside}]", end + 1
    if char == "Q":
        end = pattern.find("\\E", at)
        end = len(pattern) if end < 0 else end
        return re.escape(pattern[at + 2 : end]), end + 2
    if char == "z":
        return "\\Z", at + 2
    if char == "x" and pattern.startswith("{", at + 2):
        end = pattern.index("}", at) if "}" in pattern[at:] else len(pattern)
        return re.escape(chr(int(pattern[at + 3 : end], 16))), end + 1
    if char.isdigit() and char != "0":
        raise PatternError(f"error parsing regexp: invalid escape sequence: `\\{char}`")
    if char.isalpha() and char not in "AbBdDsSwWntrfvax":
        raise PatternError(f"error parsing regexp: invalid escape sequence: `\\{char}`")
    return pattern[at : at + 2], at + 2
