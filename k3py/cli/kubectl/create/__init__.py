"""`create -f FILE` and `create KIND NAME …`: kubectl's generators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from k3py.api.status import ApiError
from k3py.cli.kubectl.create import access, data, policies, services, workloads
from k3py.cli.kubectl.manifest import read_sources
from k3py.cli.kubectl.output import add_output_flags, report, write_query
from k3py.client.errors import Unreachable
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session

_FAMILIES: Final = (workloads, data, access, services, policies)
_MANAGER: Final = "kubectl-create"


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command and those below it."""
    parser = commands.add_parser("create", parents=[common], help="create objects", allow_abbrev=False)
    parser.add_argument("-f", "--filename", action="append", default=[])
    parser.add_argument("--raw", default="", metavar="PATH", help="post the file as it is")
    add_output_flags(parser)
    parser.set_defaults(run=run_files)
    kinds = parser.add_subparsers(dest="generator", parser_class=type(parser))
    shared = type(parser)(add_help=False, allow_abbrev=False)
    add_output_flags(shared)
    for family in _FAMILIES:
        family.add_to(kinds, [common, shared])
    for one in {id(choice): choice for choice in kinds.choices.values()}.values():
        if one.get_default("run") is None:
            one.set_defaults(run=run_generator)


async def run_files(session: Session, options: argparse.Namespace) -> int:
    """Create every object of the files, in order."""
    if not options.filename:
        raise ConfigError("must specify one of -f or -k")
    for source, obj in read_sources(options.filename, generated_names=True):
        try:
            resource, made = await session.create(options, obj, manager=_MANAGER)
        except ApiError as error:
            if not isinstance(error, Unreachable) and error.reason != "Invalid":
                error.message = f'error when creating "{source}": {error.message}'
            raise
        report(options, resource, made, "created")
    return 0


async def run_generator(session: Session, options: argparse.Namespace) -> int:
    """Create what a generator makes of the flags."""
    write_query(options, _MANAGER)
    obj = await options.generate(session, options)
    try:
        resource, made = await session.create(options, obj, manager=_MANAGER)
    except ApiError as error:
        kind = options.told
        if not kind or isinstance(error, Unreachable):
            raise
        raise K3pyError(f"failed to create {kind} {error.message}") from error
    report(options, resource, made, "created")
    return 0
