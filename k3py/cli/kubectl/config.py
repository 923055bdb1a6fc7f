"""`config view|current-context|get-contexts|get-clusters|get-users|use-context|set-context`. Source: kubectl v0.35 pkg/cmd/config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from k3py.cli.kubectl.output import print_document
from k3py.cli.kubectl.table import print_columns
from k3py.errors import K3pyError
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_BYTES: Final = ("certificate-authority-data", "client-certificate-data", "client-key-data")
_HIDDEN: Final = ("token", "password")


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands below `config`."""
    parser = commands.add_parser(
        "config", parents=[common], help="show and change the kubeconfig", allow_abbrev=False
    )
    actions = parser.add_subparsers(dest="action", required=True, parser_class=type(parser))
    view = actions.add_parser("view", parents=[common], allow_abbrev=False)
    view.add_argument("--raw", action="store_true")
    view.add_argument("--minify", action="store_true")
    view.add_argument("--flatten", action="store_true")
    view.add_argument("-o", "--output", default="yaml", choices=("json", "yaml"))
    view.set_defaults(run=run_view)
    current = actions.add_parser("current-context", parents=[common], allow_abbrev=False)
    current.set_defaults(run=run_current)
    contexts = actions.add_parser("get-contexts", parents=[common], allow_abbrev=False)
    contexts.add_argument("names", nargs="*")
    contexts.add_argument("-o", "--output", default="", choices=("", "name"))
    contexts.add_argument("--no-headers", action="store_true")
    contexts.set_defaults(run=run_contexts)
    for name in ("get-clusters", "get-users"):
        actions.add_parser(name, parents=[common], allow_abbrev=False).set_defaults(run=run_names)
    use = actions.add_parser("use-context", aliases=["use"], parents=[common], allow_abbrev=False)
    use.add_argument("name")
    use.set_defaults(run=run_use)
    change = actions.add_parser("set-context", parents=[common], allow_abbrev=False)
    change.add_argument("name", nargs="?", default="")
    change.add_argument("--current", action="store_true")
    for flag in ("--cluster", "--user"):
        change.add_argument(flag, default="")
    change.set_defaults(run=run_set)


def _read(session: Session) -> JsonObject:
    import yaml  # noqa: PLC0415 - see to_yaml

    document: JsonObject = yaml.safe_load(_path(session).read_bytes()) or {}
    return document


def _path(session: Session) -> Path:
    if session.path is None:
        raise K3pyError("there is no kubeconfig")
    return session.path


def _write(session: Session, document: JsonObject) -> None:
    from k3py.cli.kubectl.yaml_text import to_yaml  # noqa: PLC0415 - rarely wanted

    path = _path(session)
    write_atomically(path, to_yaml(document).encode(), mode=path.stat().st_mode & 0o777)


async def run_view(session: Session, options: argparse.Namespace) -> int:
    """Show the file; keys, certificates and tokens only with --raw."""
    document = _read(session)
    if options.minify:
        document = _minify(document)
    shown: JsonObject = {
        key: value for key, value in document.items() if not (key == "preferences" and not value)
    }
    if not options.raw:
        shown |= {
            section: [_hide(one) for one in document.get(section) or ()] for section in ("clusters", "users")
        }
    print_document(shown, options.output)
    return 0


def _minify(document: JsonObject) -> JsonObject:
    context = _find(document, "contexts", document.get("current-context", ""))
    if context is None:
        raise K3pyError("current-context must exist in order to minify")
    chosen = context["context"]
    return document | {
        "contexts": [context],
        "clusters": [one for one in document.get("clusters") or () if one["name"] == chosen["cluster"]],
        "users": [one for one in document.get("users") or () if one["name"] == chosen["user"]],
    }


def _hide(entry: JsonObject) -> JsonObject:
    return {
        key: {
            name: "DATA+OMITTED" if name in _BYTES else "REDACTED" if name in _HIDDEN else one
            for name, one in value.items()
        }
        if isinstance(value, dict)
        else value
        for key, value in entry.items()
    }


def _find(document: JsonObject, section: str, name: str) -> JsonObject | None:
    return next((one for one in document.get(section) or () if one["name"] == name), None)


async def run_current(session: Session, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    """Name the current context."""
    current = _read(session).get("current-context")
    if not current:
        raise K3pyError("current-context is not set")
    print(current)
    return 0


async def run_contexts(session: Session, options: argparse.Namespace) -> int:
    """List the contexts."""
    document = _read(session)
    found = sorted(document.get("contexts") or (), key=lambda one: str(one["name"]))
    missing = [name for name in options.names if _find(document, "contexts", name) is None]
    if options.names:
        found = [one for one in found if one["name"] in options.names]
    if options.output == "name":
        for one in found:
            print(one["name"])
        return 0
    rows = [_row(one, document.get("current-context", "")) for one in found]
    print_columns(
        ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"], rows, headers=not options.no_headers
    )
    if missing:
        raise K3pyError(f"context {missing[0]} not found")
    return 0


def _row(one: JsonObject, current: str) -> Sequence[str]:
    context = one["context"]
    mark = "*" if one["name"] == current else ""
    return [
        mark,
        one["name"],
        context.get("cluster", ""),
        context.get("user", ""),
        context.get("namespace", ""),
    ]


async def run_names(session: Session, options: argparse.Namespace) -> int:
    """List clusters or users."""
    section = options.action.removeprefix("get-")
    print("NAME")
    for one in sorted(_read(session).get(section) or (), key=lambda one: str(one["name"])):
        print(one["name"])
    return 0


async def run_use(session: Session, options: argparse.Namespace) -> int:
    """Make a context the current one."""
    document = _read(session)
    if _find(document, "contexts", options.name) is None:
        raise K3pyError(f'no context exists with the name: "{options.name}"')
    _write(session, document | {"current-context": options.name})
    print(f'Switched to context "{options.name}".')
    return 0


async def run_set(session: Session, options: argparse.Namespace) -> int:
    """Change or add a context."""
    document = _read(session)
    if bool(options.name) == options.current:
        raise K3pyError(
            "you must specify a non-empty context name or --current"
            if not options.name
            else "you cannot specify both a context name and --current"
        )
    name = options.name or document.get("current-context", "")
    entry = _find(document, "contexts", name)
    fields = {"cluster": options.cluster, "user": options.user, "namespace": options.namespace}
    new = {key: value for key, value in fields.items() if value}
    if entry is None:
        document["contexts"] = [*(document.get("contexts") or ()), {"context": new, "name": name}]
    else:
        entry["context"] = entry["context"] | new
    _write(session, document)
    print(f'Context "{name}" {"created" if entry is None else "modified"}.')
    return 0
