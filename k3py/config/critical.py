"""The arguments that every server of a cluster must have alike (C-60): as texts by flag, and how two servers differ."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from k3py.config.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.config.server import ServerConfig
    from k3py.jsontypes import JsonObject

_MARK_DIGITS: Final = 32
_COMPONENTS: Final = ("servicelb",)
"""Packaged components that run on all servers or on none; others may be left out on some."""


def critical_arguments(config: ServerConfig, password: str) -> dict[str, str]:
    """Return flag → value as the user would type it, defaults filled.

    Of a secret only a mark stands there by which it can be compared, and which tells nothing to who lacks `password`, that of the servers' token.
    """
    found = {
        option.name: _mark(getattr(config, option.field), password)
        if option.secret
        else _text(getattr(config, option.field, None))
        for option in OPTIONS
        if option.critical and "server" in option.roles
    }
    return found | {f"disable={name}": _text(name in config.disable) for name in _COMPONENTS}


def find_mismatch(own: Mapping[str, str], others: Mapping[str, str] | JsonObject, who: str) -> str:
    """Return what is wrong when another server has other values, "" when nothing; what either does not know is not compared."""
    secret = {option.name for option in OPTIONS if option.secret}
    faults = [
        f"--{name}: must be as on {who}"
        if name in secret
        else f"--{name}: {own[name]!r}: must be {str(others[name])!r} as on {who}"
        for name in sorted(own.keys() & others.keys())
        if own[name] != others[name]
    ]
    return "critical arguments differ between servers: " + "; ".join(faults) if faults else ""


def _mark(secret: str, password: str) -> str:
    return hmac.digest(password.encode(), secret.encode(), "sha256").hex()[:_MARK_DIGITS] if secret else ""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(str(one) for one in value)
    return "" if value is None else str(value)
