"""`delete TYPE NAME…`, `delete -f FILE`: deletes and, by default, waits until the objects are gone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from k3py.api.status import ApiError
from k3py.cli.kubectl.manifest import read_manifests
from k3py.cli.kubectl.output import add_output_flags, dry_run_note, qualified_kind, write_query
from k3py.cli.kubectl.wait import read_duration, wait_gone
from k3py.client.local import make_delete_options
from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session


_IMMEDIATE: Final = (
    "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("delete", parents=[common], help="delete objects", allow_abbrev=False)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("-f", "--filename", action="append", default=[])
    parser.add_argument("-l", "--selector", default="")
    parser.add_argument("--all", action="store_true", help="all objects of the type in the namespace")
    parser.add_argument("--grace-period", type=int, default=None, metavar="SECONDS")
    parser.add_argument("--ignore-not-found", action="store_true")
    parser.add_argument("--wait", default="true", choices=("true", "false"))
    parser.add_argument("--timeout", default="5m", metavar="DURATION", help="such as 30s or 5m")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--now", action="store_true")
    add_output_flags(parser)
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Delete what is named."""
    found: list[tuple[Resource, str, str]] = []
    if options.filename:
        for obj in read_manifests(options.filename):
            resource = await session.find_kind(obj)
            namespace = obj["metadata"].get("namespace") or session.namespace
            found.append((resource, namespace if resource.namespaced else "", obj["metadata"]["name"]))
    else:
        for resource, name in await session.targets(options.targets):
            namespace = session.namespace_for(resource)
            if name:
                found.append((resource, namespace, name))
            elif options.all or options.selector:
                listed = await session.client.list(
                    resource, namespace=namespace, label_selector=options.selector
                )
                found += [(resource, namespace, one["metadata"]["name"]) for one in listed.items]
            else:
                raise ConfigError("resource(s) were provided, but no name was specified")
        if not found:
            print("No resources found")
    if session.enforced and any(not resource.namespaced for resource, _, _ in found):
        print(
            "Warning: deleting cluster-scoped resources, not scoped to the provided namespace",
            file=sys.stderr,
        )
    if options.force and _grace_period_s(options) == 0:
        print(_IMMEDIATE, file=sys.stderr)
    for resource, namespace, name in found:
        await _delete(session, options, resource, namespace, name)
    return 0


async def _delete(
    session: Session, options: argparse.Namespace, resource: Resource, namespace: str, name: str
) -> None:
    try:
        live = await session.client.get(resource, name, namespace=namespace)
        query = write_query(options, "kubectl-delete")
        if options.dry_run != "client":
            body = make_delete_options(_grace_period_s(options), "Background", "", "")
            path = resource.path(namespace, name)
            dry_run = {key: value for key, value in query.items() if key == "dryRun"}
            await session.client.request("DELETE", path, query=dry_run, body=body)
    except ApiError as error:
        if error.code == 404 and options.ignore_not_found:
            return
        raise
    where = f" from {namespace} namespace" if namespace else ""
    if options.output == "name":
        print(f"{qualified_kind(resource)}/{name}")
    else:
        forced = "force " if options.force and _grace_period_s(options) == 0 else ""
        print(f'{qualified_kind(resource)} "{name}" {forced}deleted{where}{dry_run_note(options)}')
    if options.wait == "true" and options.dry_run == "none":
        sys.stdout.flush()
        await wait_gone(
            session.client, resource, namespace, name, live["metadata"]["uid"], read_duration(options.timeout)
        )


def _grace_period_s(options: argparse.Namespace) -> int | None:
    if options.now:
        return 1
    if options.force and options.grace_period is None:
        return 0
    period: int | None = options.grace_period
    return period
