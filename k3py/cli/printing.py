"""`-o json|yaml` of commands, tables, and colours where a person reads along."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonValue

Colour = Literal["red", "green", "yellow"]
_CODES: Final = {"red": "31", "green": "32", "yellow": "33"}
_COLOURING: Final = re.compile(r"\x1b\[\d+m")


def print_document(document: JsonValue, output: str) -> None:
    """Print a document as "json" or "yaml"."""
    if output == "json":
        print(json.dumps(document, indent=2))
        return
    import yaml  # noqa: PLC0415 - rarely wanted

    print(yaml.safe_dump(document, sort_keys=False, width=1000), end="")


def paint(text: str, colour: Colour | None) -> str:
    """Colour a text on a terminal; elsewhere, and with NO_COLOR, leave it as it is."""
    if colour is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells, coloured or not, as lines of columns, two blanks between."""
    widths = [max(_width(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    return [
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _width(cell: str) -> int:
    return len(_COLOURING.sub("", cell)) if "\x1b" in cell else len(cell)
