"""The built-in kubectl's command line: get, describe, apply, delete, logs, exec, wait, version.

For machines without kubectl; it does what first steps and repairs need, with kubectl's words, flags, messages and exit codes (but 2 for
a command line that cannot be read).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Never

from k3py.api.status import ApiError
from k3py.cli.admin_client import load_admin_config, tell_failure
from k3py.cli.kubectl import apply, containers, delete, describe, get, version, wait
from k3py.cli.kubectl.session import Session
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


COMMANDS = (get, describe, apply, delete, containers, wait, version)
_BROKEN_PIPE = 141  # what a shell shows of a program that SIGPIPE ended


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command adds itself and sets `run`. Flags for all commands may stand before and behind the command."""
    parser = _Parser(prog="k3py kubectl", description="A small built-in kubectl.", allow_abbrev=False)
    _add_common(parser, default="")
    common = _Parser(add_help=False, allow_abbrev=False)
    _add_common(common, default=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for module in COMMANDS:
        module.add_to(commands, common)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument("-n", "--namespace", default=default, help="namespace of the objects")
    parser.add_argument("--kubeconfig", default=default, metavar="FILE", help="instead of $KUBECONFIG")


async def run_builtin(arguments: Sequence[str], kubeconfig: Path) -> int:
    """Run one command and return its exit code; failures are told on standard error in kubectl's words."""
    before, after = list(arguments), []
    if "--" in before:
        at = before.index("--")
        before, after = before[:at], before[at + 1 :]
    try:
        options = build_parser().parse_args(before)
        options.after = after
        config = load_admin_config(Path(options.kubeconfig) if options.kubeconfig else kubeconfig)
        async with config.make_client(user_agent="k3py-kubectl") as client:
            session = Session(client, config, options.namespace or config.namespace)
            try:
                code = int(await options.run(session, options))
                sys.stdout.flush()
            except ApiError as error:
                print(tell_failure(error, config), file=sys.stderr)
                return 1
            else:
                return code
    except BrokenPipeError:
        # Nobody reads any more; Python must not try to flush at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except K3pyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
