"""The secrets of a machine, read so that they can be looked for and taken out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from k3py.cluster.token import parse_token
from k3py.config.options import OPTIONS
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3py.cli.machine import Machine

_LARGEST_BYTES: Final = 1 << 20
_CONTENTS: Final = re.compile(
    r"(?:secret|key|token|password|client-key-data)\"?:\s*\"?([^\s\"]{6,})", re.IGNORECASE
)


def secrets_of(machine: Machine) -> Iterator[str]:
    """Yield tokens, passwords and keys in the data dir, /etc/k3py and the settings."""
    for option in OPTIONS:
        if option.secret and (value := machine.values.get(option.field)):
            yield from _of_setting(str(value))
    for path in _files(machine):
        try:
            text = path.read_bytes()[:_LARGEST_BYTES].decode(errors="replace").strip()
        except OSError:
            continue
        if path.suffix in (".yaml", ".env", ".json", ".kubeconfig"):
            yield from _CONTENTS.findall(text)
            yield from (
                match[1] for match in re.finditer(r"(?m)^\w*(?:TOKEN|SECRET|PASSWORD|KEY)\w*=(.+)$", text)
            )
            for match in re.finditer(r"\w+://[^\s:/]*:([^\s@]+)@", text):
                yield from (match[1], unquote(match[1]))
        else:
            yield from _of_setting(text)
            # A key in PEM: its lines.
            yield from (line for line in text.splitlines() if len(line) > 20 and not line.startswith("-----"))


def _of_setting(value: str) -> Iterator[str]:
    yield value
    try:
        yield parse_token(value).password
    except ConfigError:
        return
    if match := re.search(r"://[^:/@]*:([^@]+)@", value):
        yield match[1]
        yield unquote(match[1])


def _files(machine: Machine) -> Iterator[Path]:
    server, agent = machine.data_dir / "server", machine.data_dir / "agent"
    yield from (
        server / "token",
        server / "node-token",
        server / "agent-token",
        machine.path("/etc/k3py/node/password"),
    )
    for folder in (
        server / "cred",
        server / "tls",
        agent,
        machine.path("/etc/k3py"),
        machine.path("/etc/systemd/system"),
    ):
        for pattern in ("*.key", "*.yaml", "*.env", "*.json", "*.kubeconfig", "passwd"):
            yield from (
                sorted(folder.rglob(pattern)) if folder.name != "agent" else sorted(folder.glob(pattern))
            )
    if machine.values.get("token_file"):
        yield machine.path(str(machine.values["token_file"]))
