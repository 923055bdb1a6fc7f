"""`get TYPE [NAME]`: tables as the server makes them, or -o json, yaml, name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("get", parents=[common], help="show objects", allow_abbrev=False)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", default="", choices=("", "json", "yaml", "wide", "name"))
    parser.add_argument("-l", "--selector", default="")
    parser.add_argument("--ignore-not-found", action="store_true")
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Show what is named."""
    from k3py.api.status import ApiError  # noqa: PLC0415 - kept next to its only use

    for resource, name in await session.targets(options.targets):
        namespace = "" if options.all_namespaces else session.namespace_for(resource)
        try:
            answer = await _fetch(session, options, resource, namespace, name)
        except ApiError as error:
            if error.code == 404 and options.ignore_not_found:
                continue
            raise
        _show(options, resource, answer)
    return 0


async def _fetch(
    session: Session, options: argparse.Namespace, resource: Resource, namespace: str, name: str
) -> JsonObject:
    accept = "application/json" if options.output in ("json", "yaml", "name") else _TABLE
    query = {"labelSelector": options.selector} if options.selector and not name else {}
    path = resource.path(namespace, name)
    return await session.client.request("GET", path, query=query, accept=accept)


def _show(options: argparse.Namespace, resource: Resource, answer: JsonObject) -> None:
    match options.output:
        case "json":
            print(json.dumps(answer, indent=4))
        case "yaml":
            import yaml  # noqa: PLC0415 - rarely wanted

            print(yaml.safe_dump(answer, sort_keys=False), end="")
        case "name":
            kind = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
            for one in answer.get("items", [answer]):
                print(f"{kind}/{one['metadata']['name']}")
        case _:
            if answer.get("kind") != "Table":
                raise ConfigError(
                    f"--output: the server has no table for {resource.plural}; use json or yaml"
                )
            print_table(
                answer,
                wide=options.output == "wide",
                with_namespace=options.all_namespaces and resource.namespaced,
            )


def print_table(table: JsonObject, *, wide: bool, with_namespace: bool) -> None:
    """Print a server's Table in aligned columns."""
    columns = [
        (index, column["name"].upper())
        for index, column in enumerate(table["columnDefinitions"])
        if wide or not column.get("priority")
    ]
    rows = [[title for _, title in columns]]
    rows += [[_cell(row["cells"][index]) for index, _ in columns] for row in table.get("rows") or ()]
    if with_namespace:
        spaces = [
            "NAMESPACE",
            *(row["object"]["metadata"].get("namespace", "") for row in table.get("rows") or ()),
        ]
        rows = [[space, *row] for space, row in zip(spaces, rows, strict=True)]
    if len(rows) == 1:
        print("No resources found")
        return
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return "<none>" if value in (None, "") else str(value)
