"""`rollout status|history|undo|restart|pause|resume`. Source: kubectl v0.35 pkg/cmd/rollout, pkg/polymorphichelpers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from k3py.api.timestamps import format_time
from k3py.cli.kubectl.output import add_output_flags, report
from k3py.cli.kubectl.rollout.history import list_revisions, undo
from k3py.cli.kubectl.rollout.progress import progress_of
from k3py.cli.kubectl.rollout.template import describe_template
from k3py.cli.kubectl.wait import follow, read_duration
from k3py.client.interface import PatchType
from k3py.errors import ConfigError, K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_KINDS: Final = ("Deployment", "DaemonSet", "StatefulSet")


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands below `rollout`."""
    parser = commands.add_parser(
        "rollout", parents=[common], help="follow, undo and repeat rollouts", allow_abbrev=False
    )
    actions = parser.add_subparsers(dest="action", required=True, parser_class=type(parser))
    runs = {
        "status": run_status,
        "history": run_history,
        "undo": run_undo,
        "restart": run_restart,
        "pause": run_pause,
        "resume": run_pause,
    }
    for name, run in runs.items():
        one = actions.add_parser(name, parents=[common], allow_abbrev=False)
        one.add_argument("words", nargs="+")
        one.add_argument("-l", "--selector", default="")
        if name == "status":
            one.add_argument("-w", "--watch", nargs="?", const="true", default="true")
            one.add_argument("--timeout", default="0s", metavar="DURATION")
            one.add_argument("--revision", type=int, default=0)
        else:
            add_output_flags(one, dry_run=name != "history")
        if name == "history":
            one.add_argument("--revision", type=int, default=0)
        if name == "undo":
            one.add_argument("--to-revision", type=int, default=0)
        one.set_defaults(run=run)


def _objects(
    session: Session, options: argparse.Namespace, *, all_named: bool = True
) -> AsyncIterator[tuple[Resource, JsonObject]]:
    named = "/" in options.words[0] or len(options.words) > 1
    if not named and not options.selector and all_named:
        raise ConfigError("resource(s) were provided, but no name was specified")
    return session.objects(options.words, selector=options.selector, everything=not named)


async def run_status(session: Session, options: argparse.Namespace) -> int:
    """Tell how far a rollout is, until it is done."""
    async for resource, obj in _objects(session, options):
        await _follow(session, options, resource, obj)
    return 0


async def _follow(session: Session, options: argparse.Namespace, resource: Resource, obj: JsonObject) -> None:
    if resource.kind not in _KINDS:
        raise K3pyError(f"no status viewer has been implemented for {resource.kind}")
    name = obj["metadata"]["name"]
    said = ""

    def look(one: JsonObject | None) -> bool:
        nonlocal said
        if one is None:
            raise K3pyError("object has been deleted")
        text, done = progress_of(resource.kind, one, options.revision)
        if text != said:
            print(text, flush=True)
            said = text
        return done

    if look(obj) or options.watch != "true":
        return
    limit_s = read_duration(options.timeout) or None
    try:
        async with asyncio.timeout(limit_s):
            await follow(session.client, resource, obj["metadata"].get("namespace", ""), name, look, None)
    except TimeoutError:
        raise K3pyError("timed out waiting for the condition") from None


async def run_history(session: Session, options: argparse.Namespace) -> int:
    """List revisions, or show one's template."""
    async for resource, obj in _objects(session, options, all_named=False):
        revisions = await list_revisions(session, resource, obj)
        head = f"{resource.kind.lower()}.{resource.group}/{obj['metadata']['name']}"
        if options.revision:
            found = next((one for one in revisions if one.number == options.revision), None)
            if found is None:
                raise K3pyError("unable to find the specified revision")
            print(f"{head} with revision #{options.revision}\n{describe_template(found.template)}")
            continue
        rows = [
            ("REVISION", "CHANGE-CAUSE"),
            *((str(one.number), one.cause or "<none>") for one in revisions),
        ]
        width = max(len(row[0]) for row in rows)
        lines = "\n".join(f"{number.ljust(width)}  {cause}" for number, cause in rows)
        print(f"{head} \n{lines}\n" if revisions else f"{head} \nNo rollout history found.")
    return 0


async def run_undo(session: Session, options: argparse.Namespace) -> int:
    """Go back to an earlier revision's template."""
    async for resource, obj in _objects(session, options):
        changed, text = await undo(session, options, resource, obj)
        report(options, resource, changed, text)
    return 0


async def run_restart(session: Session, options: argparse.Namespace) -> int:
    """Have all pods made anew, as the strategy says."""
    async for resource, obj in _objects(session, options):
        if resource.kind not in _KINDS:
            raise K3pyError(f'{_qualified(resource)} "{obj["metadata"]["name"]}" restarting is not supported')
        if obj["spec"].get("paused"):
            raise K3pyError(
                f'{_qualified(resource)} "{obj["metadata"]["name"]}" can\'t restart paused {resource.kind.lower()} (run rollout resume first)'
            )
        mark = {"annotations": {_RESTARTED: format_time(clock.now())}}
        patch = {"spec": {"template": {"metadata": mark}}}
        changed = await session.patch(
            options, resource, obj, patch, manager="kubectl-rollout", patch_type=PatchType.STRATEGIC
        )
        report(options, resource, changed, "restarted")
    return 0


async def run_pause(session: Session, options: argparse.Namespace) -> int:
    """Stop or go on with rollouts of Deployments."""
    pause = options.action == "pause"
    async for resource, obj in _objects(session, options):
        name = f'{_qualified(resource)} "{obj["metadata"]["name"]}"'
        if resource.kind != "Deployment":
            raise K3pyError(f"{name} {'pausing' if pause else 'resuming'} is not supported")
        if bool(obj["spec"].get("paused")) == pause:
            raise K3pyError(f"{name} is already paused" if pause else f"{name} is not paused")
        patch = {"spec": {"paused": pause or None}}
        changed = await session.patch(options, resource, obj, patch, manager="kubectl-rollout")
        report(options, resource, changed, "paused" if pause else "resumed")
    return 0


def _qualified(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural
