"""`cordon`, `uncordon`, `drain`, `taint`: nodes taken out of service and back. Source: kubectl v0.35 pkg/cmd/{drain,taint}, pkg/drain."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from k3py.api.resource import NODES, PODS
from k3py.api.status import ApiError
from k3py.cli.kubectl.output import add_output_flags, dry_run_note, report
from k3py.cli.kubectl.wait import read_duration, wait_gone
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_MIRROR: Final = "kubernetes.io/config.mirror"
_RETRY_S: Final = 5.0
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    for name, help_text in (
        ("cordon", "let no new pods onto a node"),
        ("uncordon", "let new pods onto a node"),
        ("drain", "take all pods off a node"),
    ):
        parser = commands.add_parser(name, parents=[common], help=help_text, allow_abbrev=False)
        parser.add_argument("names", nargs="*")
        parser.add_argument("-l", "--selector", default="")
        add_output_flags(parser)
        parser.set_defaults(run=run_drain if name == "drain" else run_cordon)
        if name == "drain":
            for flag in ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--disable-eviction"):
                parser.add_argument(flag, action="store_true")
            parser.add_argument("--grace-period", type=int, default=-1)
            parser.add_argument("--timeout", default="0s", metavar="DURATION")
            parser.add_argument("--pod-selector", default="")
    taint = commands.add_parser("taint", parents=[common], help="change taints of nodes", allow_abbrev=False)
    taint.add_argument("words", nargs="+", metavar="node NAME KEY=VALUE:EFFECT KEY[:EFFECT]-")
    taint.add_argument("--overwrite", action="store_true")
    taint.add_argument("--all", action="store_true")
    taint.add_argument("-l", "--selector", default="")
    add_output_flags(taint)
    taint.set_defaults(run=run_taint)


async def _nodes(session: Session, options: argparse.Namespace) -> list[JsonObject]:
    if bool(options.names) == bool(options.selector):
        raise ConfigError(f"USAGE: {options.command} NODE [flags]")
    if options.selector:
        return list((await session.client.list(NODES, label_selector=options.selector)).items)
    return [await session.client.get(NODES, name.rpartition("/")[2]) for name in options.names]


async def run_cordon(session: Session, options: argparse.Namespace) -> int:
    """Set or clear spec.unschedulable."""
    for node in await _nodes(session, options):
        await _cordon(session, options, node, wanted=options.command == "cordon")
    return 0


async def _cordon(session: Session, options: argparse.Namespace, node: JsonObject, *, wanted: bool) -> None:
    verb = "cordoned" if wanted else "uncordoned"
    if bool(node["spec"].get("unschedulable")) == wanted:
        report(options, NODES, node, f"already {verb}")
        return
    patch = {"spec": {"unschedulable": wanted or None}}
    changed = await session.patch(options, NODES, node, patch, manager=f"kubectl-{options.command}")
    report(options, NODES, changed, verb)


async def run_drain(session: Session, options: argparse.Namespace) -> int:
    """Cordon, then evict the pods and wait until they are gone."""
    limit_s = read_duration(options.timeout) or None
    failed: list[tuple[str, str]] = []
    nodes = await _nodes(session, options)
    for node in nodes:
        await _cordon(session, options, node, wanted=True)
    for node in nodes:
        name = node["metadata"]["name"]
        pods, faults = await _pods_to_go(session, options, name)
        if faults:
            failed.append((name, "\n".join(faults)))
            print(
                f'error: unable to drain node "{name}" due to error: {faults[-1] if len(faults) == 1 else faults}, continuing command...',
                file=sys.stderr,
            )
            continue
        try:
            async with asyncio.timeout(limit_s):
                await _evict_all(session, options, pods)
        except TimeoutError:
            raise K3pyError(f"drain did not complete within {options.timeout}") from None
        print(f"node/{name} drained{dry_run_note(options)}")
    if failed:
        print(
            "There are pending nodes to be drained:\n" + "\n".join(f" {name}" for name, _ in failed),
            file=sys.stderr,
        )
        print("\n".join(text for _, text in failed), file=sys.stderr)
        return 1
    return 0


async def _pods_to_go(
    session: Session, options: argparse.Namespace, node: str
) -> tuple[list[JsonObject], list[str]]:
    """Return the pods to evict, and why that cannot be done; says which are left where they are."""
    listed = await session.client.list(
        PODS, field_selector=f"spec.nodeName={node}", label_selector=options.pod_selector
    )
    reasons: dict[str, list[str]] = {}
    ignored: list[str] = []
    going = []
    for pod in listed.items:
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        owner = next(
            (one for one in pod["metadata"].get("ownerReferences") or () if one.get("controller")), None
        )
        if _MIRROR in (pod["metadata"].get("annotations") or {}):
            continue
        over = pod["status"].get("phase") in ("Succeeded", "Failed")
        if owner is not None and owner["kind"] == "DaemonSet" and not over:
            (
                ignored
                if options.ignore_daemonsets
                else reasons.setdefault(
                    "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", []
                )
            ).append(name)
            continue
        if owner is None and not over and not options.force:
            reasons.setdefault(
                "cannot delete Pods that declare no controller (use --force to override)",
                [],
            ).append(name)
        if (
            not over
            and not options.delete_emptydir_data
            and any("emptyDir" in one for one in pod["spec"].get("volumes") or ())
        ):
            reasons.setdefault(
                "cannot delete Pods with local storage (use --delete-emptydir-data to override)", []
            ).append(name)
        going.append(pod)
    if reasons:
        return [], [f"{why}: {', '.join(names)}" for why, names in reasons.items()]
    if ignored:
        print(f"Warning: ignoring DaemonSet-managed Pods: {', '.join(ignored)}", file=sys.stderr)
    return going, []


async def _evict_all(session: Session, options: argparse.Namespace, pods: Sequence[JsonObject]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                _ = group.create_task(_evict(session, options, pod))
    except* ApiError as errors:
        raise errors.exceptions[0] from None


async def _evict(session: Session, options: argparse.Namespace, pod: JsonObject) -> None:
    metadata = pod["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    print(
        f"evicting pod {namespace}/{name}{dry_run_note(options)}",
        file=sys.stdout if options.dry_run != "none" else sys.stderr,
    )
    if options.dry_run == "client":
        return
    grace: JsonObject = {"gracePeriodSeconds": options.grace_period} if options.grace_period >= 0 else {}
    if options.dry_run == "server":
        grace["dryRun"] = ["All"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": grace,
    }
    while True:
        try:
            if options.disable_eviction:
                await session.client.delete(
                    PODS, name, namespace=namespace, grace_period_s=grace.get("gracePeriodSeconds")
                )
            else:
                await session.client.request("POST", PODS.path(namespace, name, "eviction"), body=body)
            break
        except ApiError as error:
            if error.code == 404:
                break
            if error.code != 429:
                raise
            text = (
                f'error when evicting pods/"{name}" -n "{namespace}" (will retry after 5s): {error.message}'
            )
            print(text, file=sys.stderr)
            await asyncio.sleep(_RETRY_S)
    if options.dry_run == "none":
        await wait_gone(session.client, PODS, namespace, name, metadata["uid"], None)
        print(f"pod/{name} {'deleted' if options.disable_eviction else 'evicted'}")


async def run_taint(session: Session, options: argparse.Namespace) -> int:
    """Add, change and remove taints."""
    words = [one for one in options.words if "=" not in one and ":" not in one and not one.endswith("-")]
    new = [_read_taint(one) for one in options.words if not one.endswith("-") and one not in words]
    gone = [one[:-1].partition(":")[::2] for one in options.words if one.endswith("-")]
    if not new and not gone:
        raise ConfigError("at least one taint update is required")
    async for resource, node in session.objects(words, selector=options.selector, everything=options.all):
        if resource != NODES:
            raise ConfigError("invalid resource type " + resource.plural + ", only node is supported")
        await _taint(session, options, node, new, gone)
    return 0


def _read_taint(text: str) -> JsonObject:
    mark, colon, effect = text.rpartition(":")
    key, equals, value = (mark if colon else text).partition("=")
    if not colon or effect not in _EFFECTS:
        raise K3pyError(
            f"invalid taint effect: {effect}, unsupported taint effect"
            if colon
            else f"invalid taint spec: {text}"
        )
    return {"key": key, **({"value": value} if equals and value else {}), "effect": effect}


async def _taint(
    session: Session,
    options: argparse.Namespace,
    node: JsonObject,
    new: Sequence[JsonObject],
    gone: Sequence[tuple[str, str]],
) -> None:
    name = node["metadata"]["name"]
    present = node["spec"].get("taints") or []
    matches = {(one["key"], one["effect"]) for one in new}
    clashes = [one for one in present if (one["key"], one["effect"]) in matches]
    if clashes and not options.overwrite:
        raise K3pyError(f"node {name} already has a taint(s) with same effect(s) and --overwrite is false")
    taints = [one for one in present if one not in clashes]
    for key, effect in gone:
        left = [one for one in taints if not (one["key"] == key and effect in ("", one["effect"]))]
        if len(left) == len(taints):
            raise K3pyError(f'taint "{key}{":" + effect if effect else ""}" not found')
        taints = left
    verb = "modified" if clashes or (new and gone) else "tainted" if new else "untainted"
    patch = {"spec": {"taints": [*new, *taints] or None}}
    changed = await session.patch(options, NODES, node, patch, manager="kubectl-taint")
    report(options, NODES, changed, verb)
