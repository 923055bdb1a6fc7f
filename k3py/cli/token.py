"""`k3py token create|delete|generate|list|rotate`: tokens with which nodes join (C-10, C-84 to C-88)."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.resource import SECRETS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time, parse_duration
from k3py.cli.admin_client import kubeconfig_path, load_admin_config, tell_failure
from k3py.cli.printing import align
from k3py.cli.server_request import add_address_flags, find_address, own_url
from k3py.cli.server_values import CommandParser
from k3py.client.kubeconfig import Kubeconfig
from k3py.cluster.bootstrap_token import (
    DEFAULT_GROUP,
    NAMESPACE,
    SECRET_TYPE,
    USAGES,
    generate,
    make_token,
    read_secret,
    secret_name,
)
from k3py.cluster.server_client import ask_server
from k3py.cluster.token import hash_ca, parse_token
from k3py.config.loader import load_values
from k3py.errors import ConfigError, K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    from k3py.client.interface import Client
    from k3py.cluster.bootstrap_token import BootstrapToken

_PROG: Final = "k3py token"
_PATH: Final = "/v1-k3py/token"
_SECOND_NS: Final = 1_000_000_000
_GENERATED_BYTES: Final = 16
_HELP: Final = {
    "create": "Make a token for agents, and print it once.",
    "delete": "Take tokens for agents back.",
    "generate": "Print a random token; nothing is created.",
    "list": "Show the tokens for agents.",
    "rotate": "Replace the token of servers and agents; what servers share is sealed anew.",
}


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: the server cannot be reached or refuses.
    """
    parser = CommandParser(_PROG, "Make, show and take back tokens with which nodes join.")
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="create|delete|generate|list|rotate"
    )
    create = actions.add_parser("create", help=_HELP["create"], description=_HELP["create"])
    _add_kubeconfig(create)
    create.add_argument("token", nargs="?", default="", help="the token (default: a random one)")
    create.add_argument("--description", default="", metavar="TEXT", help="what it is for")
    create.add_argument(
        "--groups",
        action="append",
        metavar="GROUPS",
        help=f"further groups of who uses it (default: {DEFAULT_GROUP})",
    )
    create.add_argument(
        "--ttl",
        default="24h",
        metavar="TIME",
        help="how long it is good, such as 2h; 0 = for ever (default: 24h)",
    )
    create.add_argument(
        "--usages",
        action="append",
        metavar="USAGES",
        help=f"what it is good for (default: {','.join(USAGES)})",
    )
    delete = actions.add_parser("delete", help=_HELP["delete"], description=_HELP["delete"])
    _add_kubeconfig(delete)
    delete.add_argument(
        "tokens", nargs="+", metavar="TOKEN", help="a token or its id, the first 6 characters"
    )
    actions.add_parser("generate", help=_HELP["generate"], description=_HELP["generate"])
    shown = actions.add_parser("list", help=_HELP["list"], description=_HELP["list"])
    _add_kubeconfig(shown)
    shown.add_argument("--output", "-o", choices=("text", "json"), default="text", help="format")
    rotate = actions.add_parser("rotate", help=_HELP["rotate"], description=_HELP["rotate"])
    add_address_flags(rotate)
    rotate.add_argument(
        "--new-token", default="", metavar="TOKEN", help="the new one (default: a random one)"
    )
    return _carry_out(parser.parse_args(arguments))


def _carry_out(parsed: argparse.Namespace) -> int:
    match parsed.action:
        case "create":
            _create(parsed)
        case "delete":
            names = [secret_name(one) for one in parsed.tokens]
            _ask(parsed, lambda client: _delete(client, names))
        case "generate":
            print(generate())
        case "list":
            _list(parsed)
        case "rotate":
            _rotate(parsed)
    return 0


def _add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="the administrator's (default: KUBECONFIG, else /etc/k3py/k3py.yaml)",
    )
    parser.add_argument(
        "--data-dir", "-d", metavar="PATH", help="act by the administrator's certificate in this data dir"
    )


def _create(parsed: argparse.Namespace) -> None:
    token = make_token(
        parsed.token or generate(),
        description=parsed.description,
        ends=_find_end(parsed.ttl),
        usages=_split(parsed.usages) or USAGES,
        groups=_split(parsed.groups) or (DEFAULT_GROUP,),
    )

    async def create(client: Client) -> None:
        await client.create(SECRETS, token.to_secret(), namespace=NAMESPACE)

    config = _ask(parsed, create)
    print(f"K10{hash_ca(config.ca)}::{token.text}")


def _split(given: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(one for text in given or () for one in text.split(",") if one)


def _find_end(text: str) -> dt.datetime | None:
    try:
        seconds = parse_duration(text) / _SECOND_NS
    except ValueError:
        seconds = -1
    if seconds < 0:
        raise ConfigError(f"--ttl: {text!r}: must be a time such as 24h or 30m, or 0 for ever")
    return clock.now() + dt.timedelta(seconds=seconds) if seconds else None


async def _delete(client: Client, names: Sequence[str]) -> None:
    for name in names:
        await client.delete(SECRETS, name, namespace=NAMESPACE)
        print(f"bootstrap token {name.rpartition('-')[2]!r} deleted")


def _list(parsed: argparse.Namespace) -> None:
    found: list[BootstrapToken] = []

    async def collect(client: Client) -> None:
        secrets_ = await client.list(SECRETS, namespace=NAMESPACE, field_selector=f"type={SECRET_TYPE}")
        found.extend(one for one in (read_secret(secret) for secret in secrets_.items) if one is not None)

    _ask(parsed, collect)
    now = clock.now()
    if parsed.output == "json":
        print(json.dumps([_as_object(one) for one in found], indent=2))
        return
    rows = [("TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS")]
    rows += [
        (
            one.text,
            _left(one, now),
            "<never>" if one.ends is None else format_time(one.ends),
            ",".join(one.usages) or "<none>",
            one.description or "<none>",
            ",".join(one.groups) or "<none>",
        )
        for one in found
    ]
    for line in align(rows):
        print(line.rstrip())


def _as_object(token: BootstrapToken) -> dict[str, str | list[str]]:
    document: dict[str, str | list[str]] = {
        "token": token.text,
        "usages": list(token.usages),
        "groups": list(token.groups),
    }
    if token.description:
        document["description"] = token.description
    if token.ends is not None:
        document["expires"] = format_time(token.ends)
    return document


def _left(token: BootstrapToken, now: dt.datetime) -> str:
    if token.ends is None:
        return "<forever>"
    seconds = int((token.ends - now).total_seconds())
    if seconds <= 0:
        return "<expired>"
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours}h" if hours else f"{minutes}m" if minutes else f"{seconds}s"


def _rotate(parsed: argparse.Namespace) -> None:
    new = parse_token(parsed.new_token).password if parsed.new_token else secrets.token_hex(_GENERATED_BYTES)
    answer = ask_server(find_address(parsed, os.environ), "PUT", _PATH, {"newToken": new})
    print(
        f"the token is {answer['token']}\nrestart the other servers with it; nodes that have joined go on, new ones need it"
    )


def _ask(parsed: argparse.Namespace, act: Callable[[Client], Awaitable[None]]) -> Kubeconfig:
    """Do something as the administrator; return the kubeconfig. Raises K3pyError."""
    config = _load_config(parsed)

    async def work() -> None:
        async with config.make_client(user_agent="k3py-token") as client:
            try:
                await act(client)
            except ApiError as error:
                raise K3pyError(tell_failure(error, config)) from error

    asyncio.run(work())
    return config


def _load_config(parsed: argparse.Namespace) -> Kubeconfig:
    if parsed.kubeconfig or not parsed.data_dir:
        return load_admin_config(Path(parsed.kubeconfig) if parsed.kubeconfig else kubeconfig_path())
    tls = Path(parsed.data_dir) / "server/tls"
    try:
        return Kubeconfig(
            server=own_url(load_values("server", [f"--data-dir={parsed.data_dir}"], os.environ)),
            ca=(tls / "server-ca.crt").read_bytes(),
            certificate=(tls / "client-admin.crt").read_bytes(),
            key=(tls / "client-admin.key").read_bytes(),
        )
    except OSError as error:
        raise ConfigError(
            f"--data-dir: '{parsed.data_dir}': is not a server's: {error.filename}: {error.strerror}"
        ) from error
