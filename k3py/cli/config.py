"""`k3py config`: what flags, environment and files come to, checked as `k3py server` or `k3py agent` would."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.config.agent import load_agent_config
from k3py.config.loader import load_values
from k3py.config.options import options_of
from k3py.config.server import load_server_config
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.config.value import Value

_USAGE: Final = """usage: k3py config server|agent [flags]

Prints the configuration that `k3py server` or `k3py agent` would run with, in the form of its configuration file; secrets are left out.
Nothing is started. A value that cannot be used is told as the command itself would tell it, with the same exit code."""
_ROLES: Final = ("server", "agent")


def run(arguments: Sequence[str]) -> int:
    """Check the configuration of a role and print it as YAML (keys and values of the configuration file).

    Raises:
        ConfigError: see `load_server_config` and `load_agent_config`.
    """
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_USAGE)
        return 0 if arguments else 2
    role, *flags = arguments
    if role not in _ROLES:
        raise ConfigError(f"{role!r}: must be one of {', '.join(_ROLES)}")
    if role == "server":
        load_server_config(flags)
    else:
        load_agent_config(flags)
    values = load_values(role, flags, os.environ)

    import yaml  # noqa: PLC0415 - usage errors need not wait for it

    shown = {
        option.name: _plain(option.value_type, values[option.field])
        for option in options_of(role)
        if not option.secret and option.name != "config" and values[option.field] not in ("", None, ())
    }
    print(yaml.safe_dump(shown, sort_keys=False, default_flow_style=False, width=1000), end="")
    return 0


def _plain(value_type: str, value: Value) -> object:
    """Return what YAML writes and the configuration file takes back."""
    if value_type == "mode":
        return f"{value:o}"
    if isinstance(value, tuple):
        return "-".join(map(str, value)) if value_type == "port-range" else [str(one) for one in value]
    return str(value) if isinstance(value, Path) else value
