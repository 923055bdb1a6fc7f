r"""Go's regular expressions: RE2, the library that Go's are modelled on. The one door to google-re2.

Users write these patterns (schemas, CEL) and clients the texts: matching takes time in proportion to the text, whatever the pattern.
Source: https://github.com/google/re2/wiki/Syntax; texts of faults: Go's regexp/syntax.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)
_MOST_MEMORY: Final = 4 << 20  # bytes of a pattern's program and of the states that it has met

# What the C++ library says → what Go says.
_FAULTS: Final = {
    "bad repetition operator": "invalid nested repetition operator",
    "invalid character class": "invalid character class range",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "pattern too large - compile failed": "expression too large",
    "trailing \\": "trailing backslash at end of expression",
}


class PatternError(K3pyError):
    """A pattern that Go would not compile; the text is Go's."""


class Match(Protocol):
    """Where a pattern fits."""

    def __getitem__(self, group: int) -> str:
        """Return what a group fits; 0 is the whole."""

    def start(self) -> int:
        """Return where the whole begins."""

    def end(self) -> int:
        """Return where the whole ends."""


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> Match | None:
        """Return the first, leftmost place where it fits, as Go's MatchString looks for it."""

    def finditer(self, text: str) -> Iterator[Match]:
        """Yield all places, one behind the other."""


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Pattern:
    """Return the compiled pattern.

    Raises:
        PatternError: not a valid RE2 pattern.
    """
    import re2  # noqa: PLC0415 - 3 MB and 9 ms that most servers never need

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    try:
        compiled: Pattern = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternError(_fault_text(error, pattern)) from error
    return compiled


def replace_all(pattern: Pattern, replacement: str, text: str) -> str:
    """Return the text with all that fits replaced; `$1` and `${1}` in the replacement are groups, `$$` is a dollar.

    Groups by name are not known, and empty, as is a group that the pattern does not have. Source: Go's Regexp.ReplaceAllString.
    """
    parts: list[str] = []
    done = 0
    for match in pattern.finditer(text):
        start, end = match.start(), match.end()
        if start == end == done and parts:
            continue  # nothing, right behind the place before
        parts += [text[done:start], _expand(replacement, match)]
        done = end
    return "".join([*parts, text[done:]])


def _expand(replacement: str, match: Match) -> str:
    def group(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name is None:
            return "$"
        try:
            return match[int(name)] or ""
        except (IndexError, ValueError):
            return ""

    return _REFERENCE.sub(group, replacement)


def _fault_text(error: Exception, pattern: str) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "error parsing regexp: invalid UTF-8"
    said = error.args[0]
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    name, _, where = text.partition(": ")
    return f"error parsing regexp: {_FAULTS.get(name, name)}: `{where or pattern}`"
