"""`replace -f FILE`: objects as they are in files. Source: kubectl v0.35 pkg/cmd/replace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.api.status import ApiError
from k3py.cli.kubectl.manifest import read_sources
from k3py.cli.kubectl.output import add_output_flags, report, write_query

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("replace", parents=[common], help="replace objects", allow_abbrev=False)
    parser.add_argument("-f", "--filename", action="append", required=True)
    add_output_flags(parser)
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Replace every object of the files, in order."""
    query = write_query(options, "kubectl-replace")
    for source, obj in read_sources(options.filename):
        resource = await session.find_kind(obj)
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or session.namespace_for(resource)
        if options.dry_run == "client":
            report(options, resource, obj, "replaced")
            continue
        if not metadata.get("resourceVersion"):
            try:
                live = await session.client.get(resource, metadata["name"], namespace=namespace)
            except ApiError as error:
                if error.code == 404:
                    error.message = f'error when replacing "{source}": {error.message}'
                raise
            metadata = {**metadata, "resourceVersion": live["metadata"]["resourceVersion"]}
        changed = await session.client.request(
            "PUT", resource.path(namespace, metadata["name"]), query=query, body={**obj, "metadata": metadata}
        )
        report(options, resource, changed, "replaced")
    return 0
