"""`api-resources`, `api-versions`, `cluster-info`: what the server has. Source: kubectl v0.35 pkg/cmd/{apiresources,clusterinfo}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.api.resource import SERVICES
from k3py.cli.kubectl.table import print_columns

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    resources = commands.add_parser(
        "api-resources", parents=[common], help="list types of objects", allow_abbrev=False
    )
    resources.add_argument("-o", "--output", default="", choices=("", "wide", "name"))
    resources.add_argument("--api-group", default=None)
    resources.add_argument("--namespaced", nargs="?", const="true", default="", choices=("true", "false"))
    resources.add_argument("--verbs", default="")
    resources.add_argument("--categories", default="")
    resources.add_argument("--no-headers", action="store_true")
    resources.add_argument("--sort-by", default="", choices=("", "name", "kind"))
    resources.set_defaults(run=run_resources)
    versions = commands.add_parser(
        "api-versions", parents=[common], help="list groups and versions", allow_abbrev=False
    )
    versions.set_defaults(run=run_versions)
    info = commands.add_parser(
        "cluster-info", parents=[common], help="say where the cluster is", allow_abbrev=False
    )
    info.set_defaults(run=run_info)


async def run_resources(session: Session, options: argparse.Namespace) -> int:
    """List the types in the preferred version of each group."""
    found = [one for one in await session.served() if one.preferred]
    if options.api_group is not None:
        found = [one for one in found if one.resource.group == options.api_group]
    if options.namespaced:
        found = [one for one in found if one.resource.namespaced == (options.namespaced == "true")]
    if options.verbs:
        found = [one for one in found if one.verbs.issuperset(options.verbs.split(","))]
    if options.categories:
        found = [one for one in found if one.categories.issuperset(options.categories.split(","))]
    if options.sort_by:
        found.sort(key=lambda one: one.resource.kind if options.sort_by == "kind" else one.resource.plural)
    else:
        found.sort(key=lambda one: (one.resource.group, one.resource.plural))
    if options.output == "name":
        for one in found:
            print(f"{one.resource.plural}{'.' if one.resource.group else ''}{one.resource.group}")
        return 0
    titles = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    rows = [
        [
            one.resource.plural,
            ",".join(one.short_names),
            one.resource.api_version,
            str(one.resource.namespaced).lower(),
            one.resource.kind,
        ]
        for one in found
    ]
    if options.output == "wide":
        titles += ["VERBS", "CATEGORIES"]
        rows = [
            [*row, ",".join(sorted(one.verbs)), ",".join(sorted(one.categories))]
            for row, one in zip(rows, found, strict=True)
        ]
    print_columns(titles, rows, headers=not options.no_headers)
    return 0


async def run_versions(session: Session, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    """List the groups with their versions."""
    for one in sorted({one.resource.api_version for one in await session.served()}):
        print(one)
    return 0


async def run_info(session: Session, options: argparse.Namespace) -> int:  # noqa: ARG001
    """Name the server and the Services that belong to the cluster."""
    server = session.config.server
    namespace = session.namespace if session.enforced else "kube-system"
    print(f"Kubernetes control plane is running at {server}")
    listed = await session.client.list(
        SERVICES, namespace=namespace, label_selector="kubernetes.io/cluster-service=true"
    )
    for one in listed.items:
        metadata = one["metadata"]
        name = (metadata.get("labels") or {}).get("kubernetes.io/name") or metadata["name"]
        port = (one["spec"].get("ports") or [{}])[0].get("name", "")
        path = f"/api/v1/namespaces/{namespace}/services/{metadata['name']}{':' + port if port else ''}/proxy"
        print(f"{name} is running at {server}{path}")
    print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")
    return 0
