"""How `get` shows what the server answered: tables, documents, names, templates, columns. Source: kubectl v0.35 pkg/cmd/get."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.cli.kubectl.json_path import JsonPath, show
from k3py.cli.kubectl.output import print_object, qualified_kind
from k3py.cli.kubectl.table import print_columns, print_table
from k3py.errors import K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.api.resource import Resource
    from k3py.jsontypes import JsonObject, JsonValue

_FORMATS: Final = (
    "custom-columns,custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,wide,yaml"
)


class View:
    """The chosen form of output.

    Raises:
        K3pyError: there is no such form, or its template is misspelt.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._form, _, argument = options.output.partition("=")
        if self._form not in ("", *_FORMATS.split(",")):
            raise K3pyError(
                f'unable to match a printer suitable for the output format "{options.output}", allowed formats are: {_FORMATS}'
            )
        if self._form.endswith("-file"):
            self._form, argument = (
                self._form.removesuffix("-file"),
                Path(argument).read_text(encoding="utf-8"),
            )
        self._path = JsonPath(argument) if self._form.startswith("jsonpath") else None
        self._columns = _read_columns(argument) if self._form == "custom-columns" else []
        self._sort = JsonPath("{" + options.sort_by.strip("{}") + "}") if options.sort_by else None

    @property
    def is_table(self) -> bool:
        """Whether the server makes the table."""
        return self._form in ("", "wide")

    @property
    def needs_objects(self) -> bool:
        """Whether rows of the table have to bring their objects along."""
        return self._sort is not None

    def show(self, answers: Sequence[tuple[Resource, JsonObject]]) -> bool:
        """Print all answers; say whether there was anything."""
        if self.is_table:
            return self._show_tables(answers)
        objects = [(resource, one) for resource, answer in answers for one in _objects(resource, answer)]
        if self._sort is not None:
            objects.sort(key=lambda one: self._rank(one[1]))
        if self._form == "name":
            for resource, one in objects:
                print(f"{qualified_kind(resource)}/{one['metadata']['name']}")
            return bool(objects)
        if self._form == "custom-columns":
            self._show_columns([one for _, one in objects])
            return True
        document = (
            objects[0][1]
            if len(answers) == 1 and "items" not in answers[0][1]
            else _list([one for _, one in objects])
        )
        if self._path is None:
            print_object(self._options, document)
        elif self._form == "jsonpath-as-json":
            print_json(self._path.find(document))
        else:
            print(
                self._path.render(
                    document, allow_missing=self._options.allow_missing_template_keys == "true"
                ),
                end="",
            )
        return True

    def _show_tables(self, answers: Sequence[tuple[Resource, JsonObject]]) -> bool:
        options = self._options
        several = len({resource for resource, _ in answers}) > 1 or options.show_kind
        shown = 0
        for resource, group in groupby(answers, key=lambda one: one[0]):
            tables = [table for _, table in group]
            if any(table.get("kind") != "Table" for table in tables):
                raise K3pyError(f"the server has no table for {resource.plural}; use -o json or yaml")
            rows = [row for table in tables for row in table.get("rows") or ()]
            if self._sort is not None:
                rows.sort(key=lambda row: self._rank(row["object"]))
            table = {**tables[0], "rows": rows}
            if several:
                table = _with_kind(table, qualified_kind(resource))
            table = self._with_labels(table)
            if shown and rows and not options.no_headers:
                print()
            with_namespace = options.all_namespaces and resource.namespaced
            shown += bool(
                print_table(
                    table,
                    wide=options.output == "wide",
                    with_namespace=with_namespace,
                    headers=not options.no_headers,
                )
            )
        return bool(shown)

    def _with_labels(self, table: JsonObject) -> JsonObject:
        keys = [key for text in self._options.label_columns for key in text.split(",")]
        if not keys and not self._options.show_labels:
            return table
        columns = [
            *table["columnDefinitions"],
            *({"name": key.rpartition("/")[2]} for key in keys),
        ]
        if self._options.show_labels:
            columns.append({"name": "Labels"})
        rows = []
        for row in table["rows"]:
            labels = row["object"]["metadata"].get("labels") or {}
            cells = [*row["cells"], *(labels.get(key, "") for key in keys)]
            if self._options.show_labels:
                cells.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>")
            rows.append({**row, "cells": cells})
        return {**table, "columnDefinitions": columns, "rows": rows}

    def _show_columns(self, objects: Sequence[JsonObject]) -> None:
        rows = [
            [",".join(show(value) for value in path.find(one)) or "<none>" for _, path in self._columns]
            for one in objects
        ]
        print_columns([title for title, _ in self._columns], rows, headers=not self._options.no_headers)

    def _rank(self, obj: JsonObject) -> tuple[int, float, str]:
        assert self._sort is not None
        found = self._sort.find(obj)
        if not found:
            return 0, 0.0, ""
        value = found[0]
        if isinstance(value, int | float):
            return 1, float(value), ""
        return 2, 0.0, str(value)


def print_json(value: JsonValue) -> None:
    """Print what a path found, as JSON."""
    import json  # noqa: PLC0415 - rarely wanted

    print(json.dumps(value, indent=4, ensure_ascii=False))


def _read_columns(text: str) -> list[tuple[str, JsonPath]]:
    found = []
    for one in text.split(","):
        title, colon, path = one.partition(":")
        if not colon:
            raise K3pyError(f"unexpected custom-columns spec: {one}, expected <header>:<json-path-expr>")
        found.append((title, JsonPath("{" + path.strip("{}") + "}")))
    if not text:
        raise K3pyError("custom-columns format specified but no custom columns given")
    return found


def _objects(resource: Resource, answer: JsonObject) -> list[JsonObject]:
    if "items" not in answer:
        return [answer]
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [{**head, **one} for one in answer["items"]]


def _list(items: list[JsonObject]) -> JsonObject:
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}


def _with_kind(table: JsonObject, kind: str) -> JsonObject:
    rows = [{**row, "cells": [f"{kind}/{row['cells'][0]}", *row["cells"][1:]]} for row in table["rows"]]
    return {**table, "rows": rows}
