"""`k3py secrets-encrypt status|enable|disable|prepare|rotate|rotate-keys|reencrypt`: the keys of Secrets at rest (C-08, C-92).

The running server does the work, and goes on with it when this command or the server itself is killed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from k3py.cli.server_request import add_address_flags, find_address
from k3py.cli.server_values import CommandParser
from k3py.cluster.server_client import ask_server
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.cluster.server_client import ServerAddress
    from k3py.jsontypes import JsonObject

_PROG: Final = "k3py secrets-encrypt"
_STATUS: Final = "/v1-k3py/encrypt/status"
_CONFIG: Final = "/v1-k3py/encrypt/config"
_ACTIONS: Final = ("status", "enable", "disable", "prepare", "rotate", "rotate-keys", "reencrypt")
_BUSY: Final = ("reencrypt_request", "reencrypt_active")
_LOOK_AGAIN_S: Final = 0.2


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: the server is not there, or refuses the step.
    """
    parser = CommandParser(
        _PROG, "Show and change the keys with which Secrets are encrypted in the datastore."
    )
    parser.add_argument("action", choices=_ACTIONS, metavar="|".join(_ACTIONS))
    add_address_flags(parser)
    parser.add_argument("--force", "-f", action="store_true", help="prepare, rotate, reencrypt: at any stage")
    parser.add_argument("--skip", action="store_true", help="reencrypt: keep old keys")
    parser.add_argument(
        "--no-wait", action="store_true", help="reencrypt, rotate-keys: do not wait for the end"
    )
    parser.add_argument("--output", "-o", choices=("text", "json"), default="text", help="status: format")
    parsed = parser.parse_args(arguments)
    if parsed.skip and parsed.action != "reencrypt":
        raise ConfigError(f"--skip: is for {_PROG} reencrypt")
    address = find_address(parsed, os.environ)
    match parsed.action:
        case "status":
            status = ask_server(address, "GET", _STATUS)
            print(json.dumps(status) if parsed.output == "json" else describe(status))
        case "enable" | "disable":
            ask_server(address, "PUT", _CONFIG, {"enable": parsed.action == "enable"})
            print(
                f"secrets encryption is {parsed.action}d; what was stored before stays as it is until `{_PROG} reencrypt --force`"
            )
        case _:
            request = {"stage": parsed.action.replace("-", "_"), "force": parsed.force, "skip": parsed.skip}
            status = ask_server(address, "PUT", _CONFIG, request)
            if status["stage"] in _BUSY and not parsed.no_wait:
                _follow(address)
            else:
                print(f"{parsed.action}: the stage is {status['stage']}")
    return 0


def _follow(address: ServerAddress) -> None:
    """Show how far re-encryption is until it is done."""
    shown = ""
    while True:
        status = ask_server(address, "GET", _STATUS)
        if status["stage"] not in _BUSY:
            break
        if status.get("error"):
            raise K3pyError(f"re-encryption stopped and will be tried again: {status['error']}")
        progress = status.get("progress") or {}
        text = f"re-encrypted {progress.get('done', 0)} of {progress.get('total', 0)}"
        if text != shown:
            print(text, file=sys.stderr)
            shown = text
        time.sleep(_LOOK_AGAIN_S)  # noqa: TID251 - a command, not the server
    print("everything is re-encrypted")


def describe(status: JsonObject) -> str:
    """Return the status as K3s shows it."""
    lines = [
        f"Encryption Status: {'Enabled' if status['enable'] else 'Disabled'}",
        f"Current Rotation Stage: {status['stage']}",
    ]
    progress = status.get("progress")
    if progress:
        lines.append(f"Re-encrypted: {progress['done']} of {progress['total']}")
    if status.get("error"):
        lines.append(f"Error: {status['error']}")
    match = (
        "All hashes match"
        if status["hashmatch"]
        else status.get("hasherror", "hash does not match between servers")
    )
    lines += [f"Server Encryption Hashes: {match}", ""]
    rows = [("Active", "Key Type", "Name"), ("------", "--------", "----")]
    if status["activekey"]:
        rows.append((" *", status["activekey"]["type"], status["activekey"]["name"]))
    rows += [("", one["type"], one["name"]) for one in status["inactivekeys"]]
    width = max(len(row[1]) for row in rows)
    return "\n".join([*lines, *(f"{row[0]:<6}  {row[1]:<{width}}  {row[2]}" for row in rows)])
