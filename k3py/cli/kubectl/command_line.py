"""The built-in kubectl's command line.

For machines without kubectl; it does what daily work needs, with kubectl's words, flags, messages and exit codes (but 2 for
a command line that cannot be read). A command's module is imported when it is called.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Never, Protocol, cast

from k3py.api.status import ApiError
from k3py.cli.admin_client import load_admin_config, tell_failure
from k3py.cli.kubectl.arguments import sort_arguments
from k3py.cli.kubectl.session import Session
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


COMMANDS: Final[dict[str, str]] = {
    "get": "get",
    "describe": "describe",
    "create": "create",
    "apply": "apply",
    "replace": "replace",
    "edit": "edit",
    "delete": "delete",
    "run": "run",
    "logs": "containers",
    "exec": "containers",
    "attach": "containers",
    "cp": "cp",
    "port-forward": "port_forward",
    "wait": "wait",
    "rollout": "rollout",
    "scale": "change",
    "label": "change",
    "annotate": "change",
    "patch": "change",
    "set": "expose",
    "expose": "expose",
    "autoscale": "expose",
    "cordon": "nodes",
    "uncordon": "nodes",
    "drain": "nodes",
    "taint": "nodes",
    "top": "top",
    "auth": "auth",
    "config": "config",
    "api-resources": "resources",
    "api-versions": "resources",
    "cluster-info": "resources",
    "version": "version",
}
"""Commands and the modules of this package that add them to a parser."""
_BROKEN_PIPE = 141  # what a shell shows of a program that SIGPIPE ended


class _Module(Protocol):
    def add_to(self, commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
        """Add commands."""


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser for the command that is among `words`, or for all of them.

    Each command adds itself and sets `run`. Flags for all commands may stand before and behind the command.
    """
    parser = _Parser(prog="k3py kubectl", description="A small built-in kubectl.", allow_abbrev=False)
    _add_common(parser, default="")
    common = _Parser(add_help=False, allow_abbrev=False)
    _add_common(common, default=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    named = next((COMMANDS[word] for word in words if word in COMMANDS), "")
    for name in [named] if named else dict.fromkeys(COMMANDS.values()):
        cast("_Module", importlib.import_module(f"k3py.cli.kubectl.{name}")).add_to(commands, common)
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
        parser = build_parser(before)
        options = parser.parse_args(sort_arguments(parser, before))
        options.after = after
        config = load_admin_config(Path(options.kubeconfig) if options.kubeconfig else kubeconfig)
        async with config.make_client(user_agent="k3py-kubectl") as client:
            path = Path(options.kubeconfig) if options.kubeconfig else kubeconfig
            session = Session(
                client, config, options.namespace or config.namespace, bool(options.namespace), path
            )
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
