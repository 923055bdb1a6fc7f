"""The record of a flag, from which parsing, help, environment, configuration keys and documentation derive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ValueType = Literal[
    "string",
    "int",
    "bool",
    "list",
    "path",
    "port",
    "cidr",
    "cidrs",
    "ip",
    "ips",
    "mode",
    "port-range",
    "url",
    "name",
    "cron",
    "arguments",
]
Role = Literal["server", "agent"]
BOTH: Final[tuple[Role, ...]] = ("server", "agent")
AGENT: Final[tuple[Role, ...]] = ("agent",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One flag of `server` or `agent`.

    name: long name without dashes, also the key in configuration files (C-65). short: one letter, "" = none.
    default: as the user would type it; "" = none. env: environment variable, "" = none.
    "cidrs" and "ips" are one of a family, or two of both with a comma between.
    value_type: how `k3py.config.value` reads it; "list" may be repeated or hold commas,
    "arguments" may be repeated and keep their commas.
    critical: must be the same on every server (C-60). secret: never shown, in no message and no log.
    theme: heading in the help.
    """

    name: str
    theme: str
    help: str
    value_type: ValueType = "string"
    default: str = ""
    short: str = ""
    env: str = ""
    roles: tuple[Role, ...] = ("server",)
    critical: bool = False
    secret: bool = False

    @property
    def field(self) -> str:
        """Return the name as a Python identifier."""
        return self.name.replace("-", "_")
