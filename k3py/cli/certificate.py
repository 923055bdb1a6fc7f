"""`k3py certificate check|rotate|rotate-ca`: certificates of this machine's data dir (C-09, C-89 to C-91)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from k3py.cli.printing import align
from k3py.cli.server_values import CommandParser
from k3py.cluster.bootstrap_data.files import FILES, SharedFiles
from k3py.config.loader import load_values
from k3py.errors import ConfigError, K3pyError
from k3py.pki.inventory import list_certificates
from k3py.pki.layout import pki_paths
from k3py.pki.rotation import (
    SERVICE_ACCOUNT,
    SERVICES,
    install_authorities,
    make_new_authorities,
    read_new_authorities,
    rotate_leaves,
    rotate_service_account_key,
)
from k3py.util import clock
from k3py.util.data_dir import hold_data_dir

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from k3py.pki.inventory import Entry

_PROG: Final = "k3py certificate"
_ACTIONS: Final = ("check", "rotate", "rotate-ca")


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns 0, or 1 when `check` finds a certificate that has ended.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: it cannot be done.
    """
    parser = CommandParser(
        _PROG, "Show and replace certificates. rotate and rotate-ca: while k3py is stopped."
    )
    parser.add_argument("action", choices=_ACTIONS, metavar="|".join(_ACTIONS))
    parser.add_argument("--config", "-c", metavar="FILE", help="the server's configuration file")
    parser.add_argument("--data-dir", "-d", metavar="PATH", help="the data dir")
    parser.add_argument(
        "--output", "-o", choices=("table", "text", "json"), default="table", help="check: format"
    )
    services = ", ".join((*SERVICES, SERVICE_ACCOUNT))
    parser.add_argument(
        "--service",
        "-s",
        metavar="NAMES",
        help=f"rotate: only these, of {services} (default: all but {SERVICE_ACCOUNT})",
    )
    parser.add_argument(
        "--path",
        metavar="FOLDER",
        help="rotate-ca: new authorities (default: make new ones, cross-signed by the old)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="rotate-ca: forget the old authorities: nodes must join anew with a new token",
    )
    parsed = parser.parse_args(arguments)
    given = [
        f"--{name}={value}"
        for name in ("config", "data-dir")
        if (value := getattr(parsed, name.replace("-", "_")))
    ]
    data_dir = cast("Path", load_values("server", given, os.environ)["data_dir"]).absolute()
    if not data_dir.is_dir():
        raise ConfigError(f"--data-dir: '{data_dir}': is not there")
    if parsed.action == "check":
        return _check(data_dir, parsed.output)
    with hold_data_dir(data_dir):
        if parsed.action == "rotate":
            _rotate(data_dir, parsed.service)
        else:
            _rotate_ca(data_dir, Path(parsed.path) if parsed.path else None, force=parsed.force)
    return 0


def _check(data_dir: Path, output: str) -> int:
    entries, now = list_certificates(data_dir), clock.now()
    if output == "json":
        print(json.dumps([_as_object(one, now) for one in entries]))
    elif output == "text":
        for one in entries:
            print(f"{one.file}: {one.subject}: {one.status(now)}, ends {one.ends:%Y-%m-%dT%H:%M:%SZ}")
    else:
        rows = [("FILENAME", "SUBJECT", "USAGES", "EXPIRES", "RESIDUAL TIME", "STATUS")]
        rows += [_as_row(one, now) for one in entries]
        print("\n".join(align(rows)))
    return 1 if any(one.status(now) == "EXPIRED" for one in entries) else 0


def _as_row(one: Entry, now: dt.datetime) -> tuple[str, str, str, str, str, str]:
    days = int(one.residual_s(now) // 86400)
    return (
        one.file.name,
        one.subject,
        one.usages,
        f"{one.ends:%Y-%m-%d %H:%M} UTC",
        f"{days} days",
        one.status(now),
    )


def _as_object(one: Entry, now: dt.datetime) -> dict[str, str | int]:
    return {
        "file": str(one.file),
        "subject": one.subject,
        "usages": one.usages,
        "expires": f"{one.ends:%Y-%m-%dT%H:%M:%SZ}",
        "residualSeconds": int(one.residual_s(now)),
        "status": one.status(now),
    }


def _rotate(data_dir: Path, services: str | None) -> None:
    names = (
        [one.strip() for one in services.split(",") if one.strip()]
        if services is not None
        else list(SERVICES)
    )
    for name in names:
        if name not in SERVICES and name != SERVICE_ACCOUNT:
            raise ConfigError(f"--service: {name!r}: must be of {', '.join((*SERVICES, SERVICE_ACCOUNT))}")
    paths = pki_paths(data_dir)
    if SERVICE_ACCOUNT in names:
        SharedFiles(paths.server_tls.parent).mark(("ServiceKey",))
        rotate_service_account_key(paths)
        print(
            "tokens of service accounts are signed by a new key from the next start on; older ones stay valid until they end"
        )
    done = rotate_leaves(paths, names)
    if done:
        print(f"made anew at the next start: {', '.join(done)}")


def _rotate_ca(data_dir: Path, folder: Path | None, *, force: bool) -> None:
    paths = pki_paths(data_dir)
    new = make_new_authorities(paths, afresh=force) if folder is None else read_new_authorities(paths, folder)
    if new.disruptive and not force:
        names = ", ".join(new.disruptive)
        raise K3pyError(
            f"rotate-ca: {names}: another root or key: agents must join anew with the new token, pods with tokens be started anew, "
            "kubeconfigs be replaced; --force if that is wanted"
        )
    changed = [f"tls/{name}{suffix}" for name in new.pairs for suffix in (".crt", ".key")]
    if new.service_account_key:
        changed.append("tls/service.key")
    SharedFiles(data_dir / "server").mark(name for name, path in FILES.items() if path in changed)
    kept = install_authorities(paths, new)
    print(
        f"new: {', '.join((*new.pairs, *(('service.key',) if new.service_account_key else ())))}; old files: {kept}"
    )
    print(
        "start k3py now: it signs all leaves anew"
        + (f", and {data_dir}/server/node-token is new" if "server-ca" in new.disruptive else "")
    )
