"""`delete TYPE NAME…`, `delete -f FILE`: deletes and, by default, waits until the objects are gone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from k3py.api.status import ApiError
from k3py.cli.kubectl.manifest import read_manifests
from k3py.cli.kubectl.output import qualified_kind
from k3py.cli.kubectl.wait import read_duration, wait_gone
from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session


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
    for resource, namespace, name in found:
        await _delete(session, options, resource, namespace, name)
    return 0


async def _delete(
    session: Session, options: argparse.Namespace, resource: Resource, namespace: str, name: str
) -> None:
    try:
        live = await session.client.get(resource, name, namespace=namespace)
        await session.client.delete(
            resource,
            name,
            namespace=namespace,
            grace_period_s=options.grace_period,
            propagation_policy="Background",
        )
    except ApiError as error:
        if error.code == 404 and options.ignore_not_found:
            return
        raise
    where = f" from {namespace} namespace" if namespace else ""
    print(f'{qualified_kind(resource)} "{name}" deleted{where}')
    if options.wait == "true":
        sys.stdout.flush()
        await wait_gone(
            session.client, resource, namespace, name, live["metadata"]["uid"], read_duration(options.timeout)
        )
