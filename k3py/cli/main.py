"""Finds the command, runs it and turns expected failures into one line and an exit code (C-01 to C-13)."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.cli.command import Command
from k3py.errors import ConfigError, K3pyError
from k3py.version import GIT_VERSION, VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final[tuple[Command, ...]] = (
    Command("server", "k3py.cli.server", "run a Kubernetes server and node"),
    Command("agent", "k3py.cli.agent", "run a node that joins a server"),
    Command(
        "etcd-snapshot", "k3py.cli.etcd_snapshot", "save, list, delete and prune snapshots of the datastore"
    ),
    Command("datastore", "k3py.cli.datastore", "export, import, copy and check the datastore"),
    Command(
        "secrets-encrypt", "k3py.cli.secrets_encrypt", "show and rotate the keys of Secrets in the datastore"
    ),
    Command("token", "k3py.cli.token", "make, show, take back and rotate the tokens with which nodes join"),
    Command("certificate", "k3py.cli.certificate", "show and replace certificates and authorities"),
    Command("config", "k3py.cli.config", "check and print the configuration of a server or an agent"),
    Command("status", "k3py.cli.status", "show servers, nodes, pods, and what waits for what"),
    Command("doctor", "k3py.cli.doctor", "find out what is wrong on this machine, and what mends it"),
    Command("check-config", "k3py.cli.check_config", "check the kernel's configuration, as K3s does"),
    Command(
        "support-bundle", "k3py.cli.support_bundle", "collect what helps to find a fault, without secrets"
    ),
    Command("bench", "k3py.cli.bench", "measure this Kubernetes or another one"),
    Command("completion", "k3py.cli.completion", "print a completion script for bash, zsh or fish"),
    Command("kine", "k3py.cli.kine", "serve the datastore to clients of etcd"),
    Command("dashboard", "k3py.cli.dashboard", "print the dashboard's address and a token for it"),
    Command("kubectl", "k3py.cli.kubectl", "run kubectl with the administrator's kubeconfig"),
    Command("ctr", "k3py.cli.ctr", "run containerd's client on k3py's containerd"),
)
_INTERNAL: Final = (Command("signing-requests", "k3py.cli.signing_requests", "for k3py itself"),)
_MULTICALL: Final = frozenset(("kubectl", "ctr"))


def run(argv: Sequence[str]) -> int:
    """Run `argv` (program name first) and return the exit code: 0, 1 for failure, 2 for usage.

    Called under the name of a tool (a link `kubectl` to `k3py`), it acts as that tool (C-13).
    """
    program, arguments = Path(argv[0]).name, list(argv[1:])
    if program in _MULTICALL:
        arguments.insert(0, program)
    try:
        return _dispatch(arguments)
    except K3pyError as error:
        print(f"k3py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        # A disk that is full or fails, a file that may not be read: the machine's state, not a fault of the program.
        if error.errno is None:
            raise
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        print(f"k3py: {what}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("help", "--help", "-h"):
        print(_usage())
        return 0
    if arguments[0] in ("--version", "-v", "version"):
        print(f"k3py version v{VERSION} (Kubernetes {GIT_VERSION})\nPython {platform.python_version()}")
        return 0
    command = next((one for one in (*COMMANDS, *_INTERNAL) if one.name == arguments[0]), None)
    if command is None:
        names = ", ".join(one.name for one in COMMANDS)
        raise ConfigError(f"unknown command {arguments[0]!r}; one of: {names} (see `k3py --help`)")
    return command.load()(arguments[1:])


def _usage() -> str:
    lines = [
        "k3py: Kubernetes in one process, for machines where nobody is near",
        "",
        "usage: k3py COMMAND [flags]",
        "",
    ]
    lines += [f"  {one.name:<15} {one.help}" for one in COMMANDS]
    lines += ["", "`k3py COMMAND --help` shows the flags of a command; `k3py --version` the version."]
    return "\n".join(lines)
