"""Real database servers for tests: PostgreSQL and MariaDB from Debian's packages, in folders of their own, on loopback and unix sockets.

They run as an unprivileged user when we are root (both refuse to be root), are stopped by their process ids, and never touch the
machine's own clusters.
"""

from __future__ import annotations

import atexit
import glob
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_S = 60.0
PASSWORD = "p@ss:w/ord"


def free_port() -> int:
    """Return a TCP port that is free on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A database server; `endpoint(database)` is how k3py is told about it."""

    scheme = ""
    user = ""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.settings = settings
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where the server writes its messages."""
        return self.folder / "server.log"

    def command(self) -> list[str]:
        """Return the command line of the server."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Say whether it takes connections."""
        raise NotImplementedError

    def run_sql(self, sql: str, database: str = "") -> str:
        """Run SQL as the administrator through the unix socket."""
        raise NotImplementedError

    def endpoint(self, database: str, *, port: int | None = None) -> str:
        """Return the endpoint of a database over TCP; `port`: of a proxy."""
        raise NotImplementedError

    def socket_endpoint(self, database: str) -> str:
        """Return the endpoint of a database over the unix socket."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                as_nobody(self.command()), cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + START_S
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(self.log.read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    @property
    def is_running(self) -> bool:
        """Say whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop it in good order."""
        self._end(signal.SIGINT if self.scheme == "postgres" else signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and all processes it started."""
        self._end(signal.SIGKILL)

    def _end(self, what: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        children = _children(process.pid)
        process.send_signal(what)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:
            if what is signal.SIGKILL:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            _wait_gone(child)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.01)


def as_nobody(command: Sequence[str]) -> list[str]:
    """Return the command, run as nobody when we are root."""
    if os.geteuid() != 0:
        return list(command)
    user = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--", *command]


def _run(command: Sequence[str], **options: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    text: str = done.stdout
    return text


class Postgres(Server):
    """PostgreSQL."""

    scheme = "postgres"
    user = "k3py"

    @staticmethod
    def programs() -> Path | None:
        """Return the folder of the newest installed version."""
        found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
        return Path(max(found, key=lambda path: int(path.split("/")[4]))).parent if found else None

    def install(self) -> None:
        """Make the data folder."""
        programs = self.programs()
        assert programs is not None
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        _run(
            as_nobody(
                [
                    str(programs / "initdb"),
                    *(
                        "-D",
                        str(self.folder / "data"),
                        "-U",
                        self.user,
                        "-A",
                        "scram-sha-256",
                        "--auth-local=trust",
                    ),
                    *("--pwfile", str(secret), "-E", "UTF8", "--locale=C", "--no-sync"),
                ]
            ),
            cwd=str(self.folder),
        )

    def command(self) -> list[str]:
        programs = self.programs()
        assert programs is not None
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "16MB",
            "max_connections": "100",
            **self.settings,
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [str(programs / "postgres"), "-D", str(self.folder / "data"), *options]

    def is_ready(self) -> bool:
        try:
            self.run_sql("SELECT 1")
        except RuntimeError:
            return False
        return True

    def run_sql(self, sql: str, database: str = "postgres") -> str:
        programs = self.programs()
        assert programs is not None
        return _run(
            [
                str(programs / "psql"),
                *(
                    "-h",
                    str(self.folder),
                    "-p",
                    str(self.port),
                    "-U",
                    self.user,
                    "-d",
                    database,
                    "-XqAt",
                    "-c",
                    sql,
                ),
            ]
        )

    def endpoint(self, database: str, *, port: int | None = None) -> str:
        return f"postgres://{self.user}:p%40ss%3Aw%2Ford@127.0.0.1:{port or self.port}/{database}?sslmode=disable"

    def socket_endpoint(self, database: str) -> str:
        return f"postgres://{self.user}@/{database}?host={self.folder}&port={self.port}"


class MariaDb(Server):
    """MariaDB."""

    scheme = "mysql"
    user = "k3py"

    @staticmethod
    def programs() -> Path | None:
        """Return the server's path."""
        found = shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        return Path(found) if found else None

    @property
    def _socket(self) -> Path:
        return self.folder / "mysql.sock"

    def install(self) -> None:
        """Make the data folder."""
        bootstrap = self.folder / "init.sql"
        bootstrap.write_text(
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%';\n"
        )
        bootstrap.chmod(0o644)
        _run(
            as_nobody(
                [
                    "mariadb-install-db",
                    *(
                        "--no-defaults",
                        f"--datadir={self.folder / 'data'}",
                        "--auth-root-authentication-method=normal",
                    ),
                    *("--skip-test-db", f"--tmpdir={self.folder}"),
                ]
            ),
            cwd=str(self.folder),
        )

    def command(self) -> list[str]:
        return [
            str(self.programs()),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self._socket}",
            f"--tmpdir={self.folder}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--pid-file={self.folder / 'pid'}",
            f"--init-file={self.folder / 'init.sql'}",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=32M",
            "--skip-name-resolve",
            *(f"--{name}={value}" for name, value in self.settings.items()),
        ]

    def is_ready(self) -> bool:
        try:
            self.run_sql("SELECT 1")
        except RuntimeError:
            return False
        return True

    def run_sql(self, sql: str, database: str = "") -> str:
        names = ["-D", database] if database else []
        return _run(
            [
                "mariadb",
                "--no-defaults",
                "-N",
                "-B",
                f"--socket={self._socket}",
                "-u",
                "root",
                *names,
                "-e",
                sql,
            ]
        )

    def endpoint(self, database: str, *, port: int | None = None) -> str:
        return f"mysql://{self.user}:{PASSWORD}@tcp(127.0.0.1:{port or self.port})/{database}"

    def socket_endpoint(self, database: str) -> str:
        return f"mysql://{self.user}:{PASSWORD}@unix({self._socket})/{database}"


SERVERS: tuple[type[Postgres | MariaDb], ...] = (Postgres, MariaDb)
PACKAGES = {"postgres": "postgresql", "mysql": "mariadb-server"}


@contextmanager
def running(
    scheme: str,
    settings: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    *,
    disk_mb: int = 0,
) -> Iterator[Postgres | MariaDb]:
    """Run a server of a scheme (`postgres`, `mysql`) in a temporary folder that holds `files`; `{folder}` in a setting is that folder.

    disk_mb: put it on a file system of its own of that size (needs root; skips the test without).
    """
    kind = next(server for server in SERVERS if server.scheme == scheme)
    # Not below pytest's folders, which only root may enter; short, as socket paths are limited to 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix=f"k3py-{scheme}-"))
    stack = ExitStack()
    try:
        if disk_mb:
            stack.enter_context(small_disk(folder, disk_mb))
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
        for name, content in (files or {}).items():
            _write_private(folder / name, content)
        server = kind(folder, {name: value.format(folder=folder) for name, value in (settings or {}).items()})
        server.install()
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def small_disk(folder: Path, disk_mb: int) -> Iterator[None]:
    """Mount a file system of that size on `folder`, for the server's user; skips the test when that is not allowed."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    try:
        _run(["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m,mode=700", "k3py-test", str(folder)])
    except RuntimeError as error:
        pytest.skip(f"cannot mount a small file system: {error}")
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    try:
        yield
    finally:
        _run(["umount", str(folder)])


def _write_private(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(file, nobody.pw_uid, nobody.pw_gid)


def is_installed(scheme: str) -> bool:
    """Say whether the server's programs are on this machine."""
    return next(server for server in SERVERS if server.scheme == scheme).programs() is not None


_kept: dict[str, Postgres | MariaDb] = {}
_numbers = itertools.count()


def keep_running(scheme: str) -> Postgres | MariaDb:
    """Return a server that runs until this process ends, shared by its tests; skips the test when it is not installed."""
    if scheme not in _kept:
        if not is_installed(scheme):
            pytest.skip(
                f"Debian's package {PACKAGES[scheme]} is not installed: nothing of the driver {scheme} is tested"
            )
        server = running(scheme)
        _kept[scheme] = server.__enter__()
        atexit.register(server.__exit__, None, None, None)
    return _kept[scheme]


def fresh_database() -> str:
    """Return a name that no test used before."""
    return f"test_{os.getpid()}_{next(_numbers)}"


def fresh_endpoint(scheme: str) -> str:
    """Return the endpoint of a database that does not exist yet, on the shared server."""
    return keep_running(scheme).endpoint(fresh_database())
