"""`edit TYPE NAME`: an object in $KUBE_EDITOR or $EDITOR; what was changed is sent as a patch. Source: kubectl v0.35 pkg/cmd/util/editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from k3py.api.status import ApiError
from k3py.cli.kubectl.output import add_output_flags, report
from k3py.errors import K3pyError
from k3py.util.offload import offload

if TYPE_CHECKING:
    import argparse

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject, JsonValue

_HEAD: Final = """\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
"""


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("edit", parents=[common], help="edit an object", allow_abbrev=False)
    parser.add_argument("words", nargs="+")
    add_output_flags(parser, dry_run=False)
    parser.set_defaults(run=run, field_manager="")


async def run(session: Session, options: argparse.Namespace) -> int:
    """Edit one object after another."""
    async for resource, obj in session.objects(options.words):
        code = await _edit(session, options, resource, obj)
        if code:
            return code
    return 0


async def _edit(session: Session, options: argparse.Namespace, resource: Resource, obj: JsonObject) -> int:
    from k3py.cli.kubectl.yaml_text import to_yaml  # noqa: PLC0415 - rarely wanted

    shown = {
        **obj,
        "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"},
    }
    before = to_yaml(shown)
    text, fault = before, ""
    with tempfile.NamedTemporaryFile(
        "w+", prefix="kubectl-edit-", suffix=".yaml", encoding="utf-8", delete=False
    ) as file:
        path = Path(file.name)
    try:
        while True:
            notes = "".join(f"# {line}\n" for line in fault.splitlines())
            edited = await offload(_let_edit, path, _HEAD + (notes + "#\n" if notes else "") + text)
            if not edited.strip():
                print("Edit cancelled, saved file was empty.", file=sys.stderr)
                _forget(path)
                return 0
            if edited == text:
                if not fault:
                    print("Edit cancelled, no changes made.", file=sys.stderr)
                    _forget(path)
                    return 0
                print(f'A copy of your changes has been stored to "{path}"', file=sys.stderr)
                raise K3pyError("Edit cancelled, no valid changes were saved.")
            text = edited
            try:
                changed = await _save(session, options, resource, shown, edited)
            except ApiError as error:
                fault = f'{resource.plural}{"." + resource.group if resource.group else ""} "{obj["metadata"]["name"]}" was not valid:\n* {error.message}'
            except K3pyError as error:
                fault = str(error)
            else:
                _forget(path)
                report(options, resource, changed, "edited")
                return 0
    except OSError as error:
        raise K3pyError(f"{error.filename}: {error.strerror}") from error


def _let_edit(path: Path, text: str) -> str:
    """Return what becomes of a text in the editor, without lines that begin with #. Blocking."""
    path.write_text(text, encoding="utf-8")
    _open_editor(path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


def _forget(path: Path) -> None:
    path.unlink()


def _open_editor(path: Path) -> None:
    editor = os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603 - the user's own editor
    except OSError as error:
        raise K3pyError(f"unable to launch the editor {editor!r}") from error
    if done.returncode:
        raise K3pyError(f"there was a problem with the editor {editor!r}")


async def _save(
    session: Session, options: argparse.Namespace, resource: Resource, before: JsonObject, text: str
) -> JsonObject:
    import yaml  # noqa: PLC0415 - rarely wanted

    try:
        after = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise K3pyError(f"The edited file had a syntax error: {' '.join(str(error).split())}") from error
    if not isinstance(after, dict) or _identity(after) != _identity(before):
        raise K3pyError("At least one of apiVersion, kind and name was changed")
    return await session.patch(
        options, resource, before, make_merge_patch(before, after), manager="kubectl-edit"
    )


def _identity(obj: JsonObject) -> tuple[JsonValue, ...]:
    metadata = obj.get("metadata") or {}
    return obj.get("apiVersion"), obj.get("kind"), metadata.get("name"), metadata.get("namespace")


def make_merge_patch(before: JsonObject, after: JsonObject) -> JsonObject:
    """Return the JSON merge patch that makes `after` of `before`."""
    patch: JsonObject = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := make_merge_patch(old, value):
                patch[key] = inner
        elif value != old:
            patch[key] = value
    return patch
