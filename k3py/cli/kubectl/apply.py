"""`apply -f FILE`: server-side apply as field manager `k3py-kubectl`, told in the words of kubectl's own apply.

Without --server-side, fields of other managers are taken over, as kubectl's apply does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from k3py.api.status import ApiError
from k3py.cli.kubectl.manifest import read_manifests
from k3py.cli.kubectl.output import add_output_flags, report, write_query
from k3py.client.interface import PatchType

if TYPE_CHECKING:
    import argparse

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_MANAGER: Final = "k3py-kubectl"


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "apply", parents=[common], help="create or change objects", allow_abbrev=False
    )
    parser.add_argument("-f", "--filename", action="append", required=True)
    parser.add_argument("--server-side", action="store_true", help="leave fields of other managers alone")
    parser.add_argument("--force-conflicts", action="store_true", help="take fields over from other managers")
    add_output_flags(parser)
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Apply every object of the files, in order."""
    query = write_query(options, _MANAGER)
    if options.force_conflicts or not options.server_side:
        query["force"] = "true"
    for obj in read_manifests(options.filename):
        resource = await session.find_kind(obj)
        metadata = obj["metadata"]
        namespace = (metadata.get("namespace") or session.namespace) if resource.namespaced else ""
        before = None if options.server_side else await _find(session, resource, namespace, metadata["name"])
        body = {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
        after = body
        if options.dry_run != "client":
            path = resource.path(namespace, metadata["name"])
            after = await session.client.request(
                "PATCH", path, query=query, body=body, content_type=PatchType.APPLY.value
            )
        report(options, resource, after, _verb(options, before, after))
    return 0


async def _find(session: Session, resource: Resource, namespace: str, name: str) -> JsonObject | None:
    try:
        return await session.client.get(resource, name, namespace=namespace)
    except ApiError as error:
        if error.code != 404:
            raise
        return None


def _verb(options: argparse.Namespace, before: JsonObject | None, after: JsonObject) -> str:
    if options.server_side:
        return "serverside-applied"
    if before is None:
        return "created"
    same = before["metadata"]["resourceVersion"] == after["metadata"].get("resourceVersion")
    return "unchanged" if same and options.dry_run == "none" else "configured"
