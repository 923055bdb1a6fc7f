"""What the built-in kubectl's commands write, and how they name things."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from k3py.api.resource import Resource
    from k3py.jsontypes import JsonObject, JsonValue

_BROKEN_PIPE = 141  # what a shell shows of a program that SIGPIPE ended


def write(data: bytes, *, to_stderr: bool = False) -> None:
    """Write bytes at once.

    Raises:
        SystemExit: nobody reads any more; not a BrokenPipeError, which would look like a lost connection to the server.
    """
    stream = (sys.stderr if to_stderr else sys.stdout).buffer
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError:
        raise SystemExit(_BROKEN_PIPE) from None


def qualified_kind(resource: Resource) -> str:
    """Return a kind as kubectl prints it: "pod", "deployment.apps"."""
    kind = resource.kind.lower()
    return f"{kind}.{resource.group}" if resource.group else kind


def add_output_flags(parser: argparse.ArgumentParser, *, dry_run: bool = True) -> None:
    """Add -o, and --dry-run where something is written."""
    parser.add_argument("-o", "--output", default="", choices=("", "json", "yaml", "name"))
    parser.add_argument("--show-managed-fields", action="store_true")
    parser.set_defaults(dry_run="none")
    if dry_run:
        parser.add_argument(
            "--dry-run", nargs="?", const="client", default="none", metavar="none|server|client"
        )
        parser.add_argument("--field-manager", default="")


def write_query(options: argparse.Namespace, manager: str) -> dict[str, str]:
    """Return the query of a request that writes.

    Raises:
        ConfigError: --dry-run is misspelt.
    """
    if options.dry_run not in ("none", "server", "client"):
        raise ConfigError(
            f'Invalid dry-run value ({options.dry_run}). Must be "none", "server", or "client".'
        )
    query = {"fieldManager": options.field_manager or manager, "fieldValidation": "Strict"}
    return query | {"dryRun": "All"} if options.dry_run == "server" else query


def report(options: argparse.Namespace, resource: Resource, obj: JsonObject, verb: str) -> None:
    """Say what was done to an object, or show it, as -o asks."""
    name = f"{qualified_kind(resource)}/{obj['metadata']['name']}"
    match options.output:
        case "":
            print(f"{name} {verb}{dry_run_note(options)}")
        case "name":
            print(name)
        case _:
            print_object(options, obj)


def dry_run_note(options: argparse.Namespace) -> str:
    """Return what stands behind a message when nothing was changed."""
    return {"client": " (dry run)", "server": " (server dry run)"}.get(options.dry_run, "")


def print_object(options: argparse.Namespace, document: JsonObject) -> None:
    """Print an object or a list as JSON or YAML; without managed fields, unless they are asked for."""
    if not options.show_managed_fields:
        document = _without_managed_fields(document)
    print_document(document, options.output)


def print_document(document: JsonValue, output: str) -> None:
    """Print JSON or YAML as kubectl does."""
    if output == "json":
        print(json.dumps(document, indent=4, sort_keys=True, ensure_ascii=False))
        return
    from k3py.cli.kubectl.yaml_text import to_yaml  # noqa: PLC0415 - rarely wanted

    print(to_yaml(document), end="")


def _without_managed_fields(document: JsonObject) -> JsonObject:
    if "items" in document and str(document.get("kind", "")).endswith("List"):
        return {**document, "items": [_without_managed_fields(one) for one in document["items"]]}
    metadata: Mapping[str, JsonValue] = document.get("metadata") or {}
    if "managedFields" not in metadata:
        return document
    return {**document, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
