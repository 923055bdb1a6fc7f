"""`get TYPE [NAME]`: tables as the server makes them, or -o json, yaml, name, jsonpath, custom columns."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from k3py.api.status import ApiError
from k3py.cli.kubectl.get_view import View
from k3py.cli.kubectl.manifest import read_manifests
from k3py.cli.kubectl.output import write
from k3py.cli.kubectl.table import print_table
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
    parser.add_argument("targets", nargs="*")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument(
        "-o",
        "--output",
        default="",
        metavar="FORMAT",
        help="json, yaml, name, wide, jsonpath=…, custom-columns=…",
    )
    parser.add_argument("--show-labels", action="store_true")
    parser.add_argument("--show-kind", action="store_true")
    parser.add_argument("-L", "--label-columns", action="append", default=[])
    parser.add_argument("--sort-by", default="", metavar="PATH")
    parser.add_argument("--allow-missing-template-keys", nargs="?", const="true", default="true")
    parser.add_argument("-f", "--filename", action="append", default=[])
    parser.add_argument("--show-managed-fields", action="store_true")
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
    view = View(options)
    targets = await _targets(session, options)
    if options.watch:
        if len(targets) != 1 or options.output not in ("", "wide"):
            raise ConfigError("--watch: must be used with one type or object, and without -o or with -o wide")
        return await _watch(session, options, *targets[0][:2])
    answers: list[tuple[Resource, JsonObject]] = []
    missing: list[ApiError] = []
    for resource, name, namespace in targets:
        try:
            answers.append((resource, await _fetch(session, options, view, resource, namespace, name)))
        except ApiError as error:
            if error.code != 404 or not name:
                raise
            if not options.ignore_not_found:
                missing.append(error)
    if answers and not view.show(answers):
        everywhere = options.all_namespaces or not answers[0][0].namespaced
        where = "" if everywhere else f" in {session.namespace} namespace"
        print(f"No resources found{where}{'.' if where else ''}", file=sys.stderr)
    if missing:
        sys.stdout.flush()
        for one in missing[:-1]:
            print(f"Error from server (NotFound): {one.message}", file=sys.stderr)
        raise missing[-1]
    return 0


async def _targets(session: Session, options: argparse.Namespace) -> list[tuple[Resource, str, str]]:
    """Return resource, name ("" = all) and namespace of what is asked for."""
    if not options.filename:
        found = await session.targets(options.targets)
        return [
            (one, name, "" if options.all_namespaces else session.namespace_for(one)) for one, name in found
        ]
    targets = []
    for obj in read_manifests(options.filename):
        resource = await session.find_kind(obj)
        namespace = obj["metadata"].get("namespace") or session.namespace_for(resource)
        targets.append((resource, obj["metadata"]["name"], namespace))
    return targets


async def _fetch(
    session: Session, options: argparse.Namespace, view: View, resource: Resource, namespace: str, name: str
) -> JsonObject:
    path = resource.path(namespace, name)
    query = {} if name else _selectors(options)
    if view.needs_objects and view.is_table:
        query["includeObject"] = "Object"
    accept = _TABLE if view.is_table else "application/json"
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
