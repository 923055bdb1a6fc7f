"""`apply -f FILE`: server-side apply as field manager `k3py-kubectl`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from k3py.cli.kubectl.manifest import read_manifests
from k3py.cli.kubectl.output import qualified_kind
from k3py.client.interface import PatchType

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session

_MANAGER: Final = "k3py-kubectl"


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "apply", parents=[common], help="create or change objects", allow_abbrev=False
    )
    parser.add_argument("-f", "--filename", action="append", required=True)
    parser.add_argument("--force-conflicts", action="store_true", help="take fields over from other managers")
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Apply every object of the files, in order."""
    for obj in read_manifests(options.filename):
        resource = await session.find_kind(obj)
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or session.namespace_for(resource)
        await session.client.patch(
            resource,
            metadata["name"],
            obj,
            patch_type=PatchType.APPLY,
            namespace=namespace if resource.namespaced else "",
            field_manager=_MANAGER,
            force=options.force_conflicts,
        )
        print(f"{qualified_kind(resource)}/{metadata['name']} serverside-applied")
    return 0
