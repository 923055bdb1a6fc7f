"""$(NAME) in commands, arguments, environment values and subPathExpr. Pure.

Source: third_party/forked/golang/expansion v1.35: $(NAME) of a known name is replaced, $$ is one $, everything else stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE: Final = re.compile(r"\$(\$|\(([^()]*)\))?")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace references to known names."""
    if "$" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        name = match[2]
        return match[0] if name is None else values.get(name, match[0])

    return _REFERENCE.sub(replace, text)


def find_unresolved(text: str, values: Mapping[str, str]) -> list[str]:
    """Return the names that `expand` would leave in place."""
    return [
        m[2] for m in _REFERENCE.finditer(text) if m[1] != "$" and m[2] is not None and m[2] not in values
    ]
