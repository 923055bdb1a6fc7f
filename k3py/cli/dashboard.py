"""`k3py dashboard`: where the dashboard is, and a token to sign in with."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from k3py.addons.dashboard.accounts import ADMINISTRATOR, VIEWER, issue_token
from k3py.addons.dashboard.site import PATH
from k3py.api.status import ApiError
from k3py.api.timestamps import parse_duration
from k3py.cli.admin_client import kubeconfig_path, load_admin_config, tell_failure
from k3py.cli.server_values import CommandParser
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.client.kubeconfig import Kubeconfig

_SHORTEST_S: Final = 600  # what the API gives at least
_LONGEST_S: Final = 30 * 24 * 3600


def run(arguments: Sequence[str]) -> int:
    """Print the address and a new token, made with the administrator's kubeconfig; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: the server cannot be reached or refuses.
    """
    parser = CommandParser("k3py dashboard", "Print the dashboard's address and a token to sign in with.")
    parser.add_argument(
        "--view", action="store_true", help="a token that can look, but not change or see Secrets"
    )
    parser.add_argument(
        "--duration", default="12h", metavar="TIME", help="how long the token is good, 10m to 720h"
    )
    parser.add_argument("--output", "-o", choices=("text", "json"), default="text", help="format")
    parsed = parser.parse_args(arguments)
    lifetime_s = _read_lifetime(parsed.duration)
    url, token = asyncio.run(
        _ask(load_admin_config(kubeconfig_path()), VIEWER if parsed.view else ADMINISTRATOR, lifetime_s)
    )
    if parsed.output == "json":
        print(json.dumps({"url": url, "token": token}))
    else:
        print(f"{url}\n{token}")
    return 0


def _read_lifetime(text: str) -> int:
    try:
        lifetime_s = parse_duration(text) // 1_000_000_000
    except ValueError:
        lifetime_s = 0
    if not _SHORTEST_S <= lifetime_s <= _LONGEST_S:
        raise ConfigError(f"--duration={text!r}: must be a time from 10m to 720h")
    return lifetime_s


async def _ask(config: Kubeconfig, account: str, lifetime_s: int) -> tuple[str, str]:
    async with config.make_client(user_agent="k3py-dashboard") as client:
        try:
            token = await issue_token(client, account, lifetime_s)
        except ApiError as error:
            raise K3pyError(tell_failure(error, config)) from error
    return f"{config.server.rstrip('/')}{PATH}/", token
