"""The server: an agent's reachability, name and clock; whether the one on this machine answers."""

from __future__ import annotations

import email.utils
import http.client
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.cli.doctor.finding import error, fine, warning
from k3py.cluster.token import is_pinned_by, parse_token
from k3py.errors import ConfigError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine

_TIMEOUT_S: Final = 5.0
_DRIFT_S: Final = 60


def check_server(machine: Machine) -> Iterator[Finding]:
    """Ask the server for its authorities, which needs no login."""
    if machine.role == "server":
        if not machine.pid:
            yield warning(
                "server",
                "k3py does not run",
                "nothing answers",
                "systemctl start k3py   # or rc-service k3py start; its log: journalctl -u k3py, /var/log/k3py.log",
            )
            return
        host, port = "127.0.0.1", int(str(machine.values["https_listen_port"]))
        mend = "journalctl -u k3py -n 50   # or tail /var/log/k3py.log"
    else:
        url = str(machine.values.get("server") or "")
        if not url:
            if not machine.pid:
                yield error(
                    "server",
                    "no server is named",
                    "an agent needs one",
                    "--server=https://ADDRESS:6443, or K3PY_URL",
                )
            return
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        mend = f"nc -vz {host} {port}   # does the server run, is a firewall between, is the address still right?"
    shown = f"https://{host}:{port}"
    try:
        ca, date = _ask(host, port)
    except (OSError, http.client.HTTPException) as failure:
        yield error(
            "server",
            f"{shown}: {getattr(failure, 'strerror', None) or failure}",
            "the server does not answer; a node goes on with what it knows",
            mend,
        )
        return
    yield from _compare(machine, shown, ca, date)


def _compare(machine: Machine, shown: str, ca: bytes, date: str) -> Iterator[Finding]:
    token = str(machine.values.get("token") or "")
    try:
        pinned = parse_token(token).ca_hash if token else ""
    except ConfigError:
        pinned = ""  # told by the check of the token
    if pinned and not is_pinned_by(ca, pinned):
        yield error(
            "server",
            f"{shown} is not the server that the token is for",
            "the agent does not join; the address leads elsewhere, or the server was made anew",
            "copy the node-token of that server, or correct --server",
        )
        return
    drift = _drift_s(date)
    if drift is not None and abs(drift) > _DRIFT_S:
        yield warning(
            "server",
            f"its clock differs by {drift:+.0f} s",
            "tokens and schedules of the two disagree",
            "timedatectl set-ntp true   # on both",
        )
        return
    yield fine("server", f"{shown} answers")


def _ask(host: str, port: int) -> tuple[bytes, str]:
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=blind)
    try:
        connection.request("GET", "/cacerts")
        response = connection.getresponse()
        return response.read(), response.headers.get("Date", "")
    finally:
        connection.close()


def _drift_s(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - clock.wall_s()
    except ValueError:
        return None
