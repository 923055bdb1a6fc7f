"""Secrets: who may read them, and whether the token can be used."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from k3py.cli.doctor.finding import error, fine, warning
from k3py.cluster.token import parse_token
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine


def check_secrets(machine: Machine) -> Iterator[Finding]:
    """Keys, tokens and kubeconfigs that others may read; tokens that cannot be used."""
    problems = False
    for path in _secret_files(machine):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077:
            problems = True
            yield error(
                "permissions",
                f"{path} has mode {mode:04o}",
                "others on this machine can read it, and become administrators of the cluster",
                f"chmod 600 {path}",
            )
    kubeconfig = machine.path(str(machine.values.get("write_kubeconfig") or "/etc/k3py/k3py.yaml"))
    if kubeconfig.exists() and stat.S_IMODE(kubeconfig.stat().st_mode) & 0o004:
        problems = True
        yield warning(
            "permissions",
            f"{kubeconfig} can be read by everybody",
            "everybody on this machine is the cluster's administrator",
            f"chmod 600 {kubeconfig}   # and leave out --write-kubeconfig-mode",
        )
    token = _join_token(machine)
    if (
        machine.role == "agent"
        and not token
        and not (machine.data_dir / "agent" / "client-kubelet.crt").exists()
    ):
        problems = True
        yield error(
            "token",
            "no token is given",
            "an agent cannot join without the server's token",
            "copy the server's /var/lib/k3py/server/node-token: --token-file=FILE or K3PY_TOKEN",
        )
    elif token:
        try:
            parsed = parse_token(token)
        except ConfigError as failure:
            problems = True
            yield error(
                "token",
                str(failure),
                "joining fails",
                "copy the server's /var/lib/k3py/server/node-token, the whole line",
            )
        else:
            if not parsed.ca_hash and machine.role == "agent":
                problems = True
                yield warning(
                    "token",
                    "the short form of a token is used",
                    "the agent cannot tell whether the server is the right one before it shows its secret",
                    "use the long form, K10…, of the server's node-token",
                )
    if not problems:
        yield fine("permissions", "only root can read keys, tokens and kubeconfigs")


def _secret_files(machine: Machine) -> Iterator[Path]:
    server, agent = machine.data_dir / "server", machine.data_dir / "agent"
    yield from sorted((server / "tls").rglob("*.key"))
    yield from (server / "token", server / "node-token", server / "db" / "state.db")
    yield from sorted((server / "cred").glob("*"))
    yield from sorted(agent.glob("*.key"))
    yield from sorted(agent.glob("*.kubeconfig"))
    yield from (machine.path("/etc/k3py/node/password"), machine.path("/etc/k3py/k3py.env"))
    config = machine.path(str(machine.values.get("config") or "/etc/k3py/config.yaml"))
    for path in (config, *sorted(config.with_name(config.name + ".d").glob("*.yaml"))):
        if path.exists() and any(
            line.strip().startswith(("token:", "datastore-endpoint:", "etcd-s3-secret-key:"))
            for line in path.read_text(errors="replace").splitlines()
        ):
            yield path


def _join_token(machine: Machine) -> str:
    token = str(machine.values.get("token") or "")
    file = machine.values.get("token_file")
    return token or (machine.read(str(file)) if file else "")
