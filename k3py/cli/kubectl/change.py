"""`label`, `annotate`, `patch`, `scale`: small changes of objects. Source: kubectl v0.35 pkg/cmd/{label,annotate,patch,scale}."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from k3py.api.status import ApiError
from k3py.cli.kubectl.output import add_output_flags, report, write_query
from k3py.client.interface import PatchType
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject, JsonValue

_TYPES: Final = {"strategic": PatchType.STRATEGIC, "merge": PatchType.MERGE, "json": PatchType.JSON}


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    for name, help_text in (("label", "change labels"), ("annotate", "change annotations")):
        marks = commands.add_parser(name, parents=[common], help=help_text, allow_abbrev=False)
        marks.add_argument("words", nargs="+", metavar="TYPE NAME… KEY=VALUE… KEY-…")
        marks.add_argument("-l", "--selector", default="")
        marks.add_argument("--all", action="store_true")
        marks.add_argument("--overwrite", nargs="?", const="true", default="false")
        marks.add_argument("--list", action="store_true")
        marks.add_argument("--resource-version", default="")
        add_output_flags(marks)
        marks.set_defaults(run=run_marks)
    patch = commands.add_parser("patch", parents=[common], help="patch an object", allow_abbrev=False)
    patch.add_argument("words", nargs="+")
    patch.add_argument("-p", "--patch", default="")
    patch.add_argument("--patch-file", default="")
    patch.add_argument("--type", default="strategic")
    patch.add_argument("--subresource", default="")
    add_output_flags(patch)
    patch.set_defaults(run=run_patch)
    scale = commands.add_parser(
        "scale", parents=[common], help="set how many replicas there are", allow_abbrev=False
    )
    scale.add_argument("words", nargs="*")
    scale.add_argument("--replicas", type=int, required=True)
    scale.add_argument("--current-replicas", type=int, default=-1)
    scale.add_argument("--resource-version", default="")
    scale.add_argument("--all", action="store_true")
    scale.add_argument("-l", "--selector", default="")
    scale.add_argument("--timeout", default="0s", metavar="DURATION")
    add_output_flags(scale)
    scale.set_defaults(run=run_scale)


async def run_marks(session: Session, options: argparse.Namespace) -> int:
    """Set and remove labels or annotations."""
    field = "labels" if options.command == "label" else "annotations"
    objects = [one for one in options.words if "=" not in one and not one.endswith("-")]
    new = dict(one.split("=", 1) for one in options.words if "=" in one)
    gone = [one[:-1] for one in options.words if "=" not in one and one.endswith("-")]
    if set(new) & set(gone):
        raise K3pyError(
            f"can not both modify and remove {'a label' if field == 'labels' else 'an annotation'} in the same command"
        )
    if not new and not gone and not options.list:
        raise ConfigError(f"at least one {field[:-1]} update is required")
    async for resource, obj in session.objects(objects, selector=options.selector, everything=options.all):
        await _mark(session, options, resource, obj, field, new, gone)
    return 0


async def _mark(
    session: Session,
    options: argparse.Namespace,
    resource: Resource,
    obj: JsonObject,
    field: str,
    new: dict[str, str],
    gone: Sequence[str],
) -> None:
    present = obj["metadata"].get(field) or {}
    if options.list and not new and not gone:
        for key, value in sorted(present.items()):
            print(f"{key}={value}")
        return
    if options.overwrite != "true":
        _refuse_overwriting(field, present, new)
    if field == "labels":
        for key in gone:
            if key not in present:
                print(f'label "{key}" not found.')
    wanted = {key: value for key, value in {**present, **new}.items() if key not in gone}
    verb = "annotated"
    if field == "labels":
        verb = "not labeled" if wanted == present else "unlabeled" if not new else "labeled"
    changed = obj
    if wanted != present or field == "annotations":
        changes: JsonObject = {**new, **dict.fromkeys(key for key in gone if key in present)}
        metadata: JsonObject = {field: changes}
        if options.resource_version:
            metadata["resourceVersion"] = options.resource_version
        changed = await session.patch(
            options, resource, obj, {"metadata": metadata}, manager=f"kubectl-{options.command}"
        )
    report(options, resource, changed, verb)


def _refuse_overwriting(field: str, present: dict[str, str], new: dict[str, str]) -> None:
    clashes = [
        f"'{key}' already has a value ({present[key]})"
        for key, value in new.items()
        if key in present and present[key] != value
    ]
    if not clashes:
        return
    if field == "annotations":
        raise K3pyError(
            f"--overwrite is false but found the following declared annotation(s): {'; '.join(clashes)}"
        )
    raise K3pyError(f"{clashes[0]}, and --overwrite is false")


async def run_patch(session: Session, options: argparse.Namespace) -> int:
    """Patch objects."""
    if options.type not in _TYPES:
        raise K3pyError(f"--type must be one of [json merge strategic], not {options.type!r}")
    if bool(options.patch) == bool(options.patch_file):
        raise ConfigError("must specify --patch or --patch-file containing the contents of the patch")
    text = _read_text(options.patch_file) if options.patch_file else options.patch

    import yaml  # noqa: PLC0415 - JSON is YAML, too

    try:
        patch: JsonValue = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise K3pyError(f'unable to parse "{text}": {" ".join(str(error).split())}') from error
    patch_type = _TYPES[options.type]
    async for resource, obj in session.objects(options.words):
        if options.subresource:
            path = resource.path(
                obj["metadata"].get("namespace", ""), obj["metadata"]["name"], options.subresource
            )
            query = write_query(options, "kubectl-patch")
            changed = await session.client.request(
                "PATCH", path, query=query, body=patch, content_type=patch_type.value
            )
        else:
            changed = await session.patch(
                options, resource, obj, patch, manager="kubectl-patch", patch_type=patch_type
            )
        same = (
            changed["metadata"].get("resourceVersion") == obj["metadata"].get("resourceVersion")
            and options.dry_run == "none"
        )
        report(options, resource, changed, "patched (no change)" if same else "patched")
    return 0


def _read_text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise K3pyError(f"unable to read patch file: {name}: {error.strerror}") from error


async def run_scale(session: Session, options: argparse.Namespace) -> int:
    """Set the replicas through the scale subresource."""
    if options.replicas < 0:
        raise ConfigError(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"
        )
    async for resource, obj in session.objects(
        options.words, selector=options.selector, everything=options.all
    ):
        await _scale(session, options, resource, obj["metadata"]["name"])
        report(options, resource, obj, "scaled")
    return 0


async def _scale(session: Session, options: argparse.Namespace, resource: Resource, name: str) -> None:
    query = write_query(options, "kubectl-scale")
    path = resource.path(session.namespace_for(resource), name, "scale")
    while True:
        scale = await session.client.request("GET", path)
        now = (scale.get("spec") or {}).get("replicas", 0)
        if options.current_replicas >= 0 and now != options.current_replicas:
            raise K3pyError(f"Expected replicas to be {options.current_replicas}, was {now}")
        version = scale["metadata"].get("resourceVersion", "")
        if options.resource_version and version != options.resource_version:
            raise K3pyError(f"Expected resource version to be {options.resource_version}, was {version}")
        if options.dry_run == "client":
            return
        try:
            await session.client.request(
                "PUT",
                path,
                query=query,
                body={**scale, "spec": {**scale.get("spec", {}), "replicas": options.replicas}},
            )
        except ApiError as error:
            if error.reason != "Conflict":
                raise
            await asyncio.sleep(0)
        else:
            return
