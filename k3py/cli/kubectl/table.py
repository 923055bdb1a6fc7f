"""Prints the Tables that the server makes of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject


def print_table(
    table: JsonObject,
    *,
    wide: bool,
    with_namespace: bool,
    headers: bool = True,
    widths: Sequence[int] = (),
) -> list[int]:
    """Print a server's Table in aligned columns, nothing for one without rows; return the columns' widths.

    widths: at least these, so that lines of a watch stand below each other.
    """
    columns = [
        (index, column["name"].upper())
        for index, column in enumerate(table["columnDefinitions"])
        if wide or not column.get("priority")
    ]
    found = table.get("rows") or ()
    if not found:
        return list(widths)
    rows = [[_cell(row["cells"][index]) for index, _ in columns] for row in found]
    titles = [title for _, title in columns]
    if with_namespace:
        titles.insert(0, "NAMESPACE")
        rows = [
            [row["object"]["metadata"].get("namespace", ""), *cells]
            for row, cells in zip(found, rows, strict=True)
        ]
    if headers:
        rows.insert(0, titles)
    own = [max(len(row[at]) for row in rows) for at in range(len(titles))]
    result = [max(pair) for pair in zip(own, widths, strict=True)] if widths else own
    for row in rows:
        print(join_cells(row, result))
    return result


def print_columns(titles: Sequence[str], rows: Sequence[Sequence[str]], *, headers: bool = True) -> None:
    """Print rows below their titles."""
    shown = [titles, *rows] if headers else list(rows)
    widths = [max(len(row[at]) for row in shown) for at in range(len(titles))] if shown else []
    for row in shown:
        print(join_cells(row, widths))


def join_cells(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line: three blanks between columns of at least six characters; the last cell is not filled up."""
    filled = (cell.ljust(max(width + 3, 6)) for cell, width in zip(row[:-1], widths, strict=False))
    return "".join(filled) + row[-1]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
