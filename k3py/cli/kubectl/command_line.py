"""The built-in kubectl's command line: get, describe, apply, delete, logs, exec, wait, version.

For machines without kubectl; it does what first steps and repairs need, with kubectl's words and flags.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Never

from k3py.api.status import ApiError
from k3py.cli.kubectl import apply, containers, delete, describe, get, version, wait
from k3py.cli.kubectl.session import Session
from k3py.client.kubeconfig import load_kubeconfig
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


COMMANDS = (get, describe, apply, delete, containers, wait, version)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command adds itself and sets `run`."""
    parser = _Parser(prog="k3py kubectl", description="A small built-in kubectl.", allow_abbrev=False)
    common = _Parser(add_help=False, allow_abbrev=False)
    common.add_argument("-n", "--namespace", default="", help="namespace of the objects")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for module in COMMANDS:
        module.add_to(commands, common)
    return parser


async def run_builtin(arguments: Sequence[str], kubeconfig: Path) -> int:
    """Run one command and return its exit code.

    Raises:
        ConfigError: the command line is wrong, or needs a full kubectl.
        K3pyError: the server refused; its message.
    """
    before, after = list(arguments), []
    if "--" in before:
        at = before.index("--")
        before, after = before[:at], before[at + 1 :]
    options = build_parser().parse_args(before)
    options.after = after
    config = load_kubeconfig(kubeconfig)
    async with config.make_client(user_agent="k3py-kubectl") as client:
        session = Session(client, config, options.namespace or config.namespace)
        try:
            return int(await options.run(session, options))
        except ApiError as error:
            reason = f" ({error.reason})" if error.reason else ""
            raise K3pyError(f"Error from server{reason}: {error.message}") from error
