"""`version`: of this client and of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.version import GIT_VERSION

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("version", parents=[common], help="show versions", allow_abbrev=False)
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    """Print both versions."""
    print(f"Client Version: {GIT_VERSION} (built-in)")
    print(f"Server Version: {(await session.client.request('GET', '/version'))['gitVersion']}")
    return 0
