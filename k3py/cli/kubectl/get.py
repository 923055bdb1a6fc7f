"""`get TYPE [NAME]`: tables as the server makes them, or -o json, yaml, name."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from k3py.api.status import ApiError
from k3py.cli.kubectl.output import qualified_kind, write
from k3py.cli.kubectl.table import print_table
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("get", parents=[common], help="show objects", allow_abbrev=False)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", default="", choices=("", "json", "yaml", "wide", "name"))
    parser.add_argument("-l", "--selector", default="")
    parser.add_argument("--field-selector", default="")
    parser.add_argument("-w", "--watch", action="store_true", help="go on showing changes, until interrupted")
    parser.add_argument("--no-headers", action="store_true")
    parser.add_argument("--ignore-not-found", action="store_true")
    parser.add_argument("--raw", default="", metavar="PATH", help="show what the server answers for a path")
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Show what is named."""
    if options.raw:
        async with session.client.stream(options.raw) as content:
            async for chunk in content.iter_any():
                write(chunk)
        return 0
    targets = await session.targets(options.targets)
    if options.watch:
        if len(targets) != 1 or options.output not in ("", "wide"):
            raise ConfigError("--watch: must be used with one type or object, and without -o or with -o wide")
        return await _watch(session, options, *targets[0])
    answers = []
    for resource, name in targets:
        namespace = "" if options.all_namespaces else session.namespace_for(resource)
        try:
            answers.append((resource, await _fetch(session, options, resource, namespace, name)))
        except ApiError as error:
            if error.code == 404 and options.ignore_not_found and name:
                continue
            raise
    if options.output in ("json", "yaml") and len(answers) > 1:
        items = [one for _, answer in answers for one in answer.get("items", [answer])]
        answers = [
            (
                answers[0][0],
                {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items},
            )
        ]
    _show_all(session, options, answers)
    return 0


async def _fetch(
    session: Session, options: argparse.Namespace, resource: Resource, namespace: str, name: str
) -> JsonObject:
    accept = "application/json" if options.output in ("json", "yaml", "name") else _TABLE
    path = resource.path(namespace, name)
    query = {} if name else _selectors(options)
    return await session.client.request("GET", path, query=query, accept=accept)


def _selectors(options: argparse.Namespace) -> dict[str, str]:
    query = {"labelSelector": options.selector, "fieldSelector": options.field_selector}
    return {key: value for key, value in query.items() if value}


async def _watch(session: Session, options: argparse.Namespace, resource: Resource, name: str) -> int:
    """Show the table, then a line for every change; ends with the server's watch or Ctrl-C."""
    namespace = "" if options.all_namespaces else session.namespace_for(resource)
    query = _selectors(options)
    if name:
        query["fieldSelector"] = ",".join(filter(None, (options.field_selector, f"metadata.name={name}")))
    path = resource.path(namespace)
    wide, with_namespace = options.output == "wide", options.all_namespaces and resource.namespaced
    first = await session.client.request("GET", path, query=query, accept=_TABLE)
    widths = print_table(first, wide=wide, with_namespace=with_namespace, headers=not options.no_headers)
    sys.stdout.flush()
    query |= {"watch": "true", "resourceVersion": first["metadata"]["resourceVersion"]}
    columns: list[JsonObject] = first["columnDefinitions"]
    async with session.client.stream(path, query=query, accept=_TABLE) as content:
        rest = b""
        async for chunk in content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, lines):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError.from_status(event["object"])
                # Only the first table of a watch says what its columns are.
                columns = event["object"].get("columnDefinitions") or columns
                table = {**event["object"], "columnDefinitions": columns}
                widths = print_table(
                    table, wide=wide, with_namespace=with_namespace, headers=not widths, widths=widths
                )
                sys.stdout.flush()
    return 0


def _show_all(
    session: Session, options: argparse.Namespace, answers: Sequence[tuple[Resource, JsonObject]]
) -> None:
    if options.output in ("json", "yaml", "name"):
        for resource, answer in answers:
            _show(options, resource, answer)
        return
    shown = 0
    for resource, answer in answers:
        if answer.get("kind") != "Table":
            raise K3pyError(f"the server has no table for {resource.plural}; use -o json or yaml")
        with_namespace = options.all_namespaces and resource.namespaced
        if shown and not options.no_headers and len(answers) > 1 and answer.get("rows"):
            print()
        wide = options.output == "wide"
        shown += bool(
            print_table(answer, wide=wide, with_namespace=with_namespace, headers=not options.no_headers)
        )
    if not shown and answers:
        everywhere = options.all_namespaces or not answers[0][0].namespaced
        where = "" if everywhere else f" in {session.namespace} namespace"
        print(f"No resources found{where}{'.' if where else ''}", file=sys.stderr)


def _show(options: argparse.Namespace, resource: Resource, answer: JsonObject) -> None:
    match options.output:
        case "json":
            print(json.dumps(answer, indent=4))
        case "yaml":
            import yaml  # noqa: PLC0415 - rarely wanted

            print(yaml.safe_dump(answer, sort_keys=False), end="")
        case "name":
            kind = qualified_kind(resource)
            for one in answer.get("items", [answer]):
                print(f"{kind}/{one['metadata']['name']}")
