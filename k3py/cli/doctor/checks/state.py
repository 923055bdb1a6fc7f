"""What k3py has on this machine: certificates and the datastore."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, cast

from k3py.cli.doctor.endpoint_hosts import hosts_of
from k3py.cli.doctor.finding import error, fine, warning
from k3py.datastore.drivers.sqlite_file import APPLICATION_ID
from k3py.datastore.factory import sqlite_path
from k3py.datastore.sql import migrations
from k3py.datastore.tls_files import TlsFiles
from k3py.errors import ConfigError
from k3py.pki.errors import PkiError
from k3py.pki.inventory import list_certificates
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine

_RESTORE: Final = "k3py etcd-snapshot ls; k3py server --cluster-reset --cluster-reset-restore-path=FILE"
_CONNECT_S: Final = 5.0
_ENDPOINTS: Final = "k3py server --help   # shows what --datastore-endpoint takes"


def check_certificates(machine: Machine) -> Iterator[Finding]:
    """Ended, not begun, or about to end."""
    try:
        entries = list_certificates(machine.data_dir)
    except PkiError as failure:
        yield error(
            "certificates",
            str(failure),
            "k3py does not start",
            "put the file back from a backup, or: k3py certificate rotate, and start k3py",
        )
        return
    now, problems = clock.now(), False
    for one in entries:
        status = one.status(now)
        if status == "EXPIRED":
            problems = True
            yield error(
                "certificates",
                f"{one.file.name} ({one.subject}) ended {one.ends:%Y-%m-%d}",
                "clients and nodes are refused",
                "start k3py anew, which renews it; or, while it is stopped: k3py certificate rotate (an authority: rotate-ca)",
            )
        elif status == "NOT YET VALID":
            problems = True
            yield error(
                "certificates",
                f"{one.file.name} ({one.subject}) begins {one.starts:%Y-%m-%d %H:%M}",
                "clients refuse it; most likely the clock is wrong",
                "date; timedatectl set-ntp true",
            )
        elif status == "WARNING" and not machine.pid:
            problems = True
            yield warning(
                "certificates",
                f"{one.file.name} ({one.subject}) ends {one.ends:%Y-%m-%d}",
                "it ends within 120 days",
                "start k3py, which renews it",
            )
    if not problems:
        first = min((one.ends for one in entries), default=None)
        yield fine(
            "certificates", f"{len(entries)}, the first one ends {first:%Y-%m-%d}" if first else "none yet"
        )


def check_datastore(machine: Machine) -> Iterator[Finding]:
    """SQLite: ours, whole, of a version that this k3py knows; servers: can be reached."""
    if machine.role != "server":
        return
    endpoint = str(machine.values["datastore_endpoint"])
    try:
        path = sqlite_path(endpoint, machine.data_dir / "server")
    except ConfigError as failure:
        yield error("datastore", str(failure), "k3py does not start", _ENDPOINTS)
        return
    if path is None:
        yield from _check_server(machine)
        return
    if not path.exists():
        yield fine("datastore", f"{path} is not there yet: it is made at the first start")
        return
    if machine.pid:
        yield fine(
            "datastore", f"{path}: open in process {machine.pid}; `k3py datastore check` reads all of it"
        )
        return
    yield _check_sqlite(path)


def _check_sqlite(path: Path) -> Finding:
    # immutable: no file beside it is made or changed; what is in its write-ahead log alone is not looked at.
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as failure:
        return error("datastore", f"{path}: {failure}", "k3py does not start on a damaged database", _RESTORE)
    if application_id not in (APPLICATION_ID, 0):
        return error(
            "datastore",
            f"{path} is a database of another program",
            "k3py does not touch it and does not start",
            f"mv {path} {path}.other",
        )
    if version > len(migrations.SQLITE):
        return error(
            "datastore",
            f"{path} was written by a newer k3py (schema {version})",
            "this k3py does not understand it and does not start",
            "install the newer k3py again, or restore a snapshot of this version: " + _RESTORE,
        )
    if answer != "ok" and not path.with_name(path.name + "-wal").exists():
        return error(
            "datastore",
            f"{path} is damaged: {' '.join(str(answer).split())}",
            "k3py does not start on it",
            _RESTORE,
        )
    return fine("datastore", f"{path}: whole, {path.stat().st_size >> 10} KiB")


def _check_server(machine: Machine) -> Iterator[Finding]:
    names = ("datastore_cafile", "datastore_certfile", "datastore_keyfile")
    tls = TlsFiles(*(cast("Path | None", machine.values[name] or None) for name in names))
    try:
        hosts = hosts_of(str(machine.values["datastore_endpoint"]), tls)
    except ConfigError as failure:
        yield error("datastore", str(failure), "k3py does not start", _ENDPOINTS)
        return
    for host, port in hosts:
        try:
            with socket.create_connection((host, port), timeout=_CONNECT_S):
                yield fine("datastore", f"{host}:{port} answers")
        except OSError as failure:
            yield error(
                "datastore",
                f"{host}:{port}: {failure.strerror or failure}",
                "k3py waits for its datastore and answers nothing",
                f"nc -vz {host} {port}   # does the database run, is a firewall between?",
            )
