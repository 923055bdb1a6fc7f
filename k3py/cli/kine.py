"""`k3py kine`: the datastore alone, for other programs that expect an etcd (flags as Kine spells them)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Never

from k3py.datastore.control import control_of
from k3py.datastore.durability import Durability
from k3py.datastore.etcdapi.listener import parse_listen_address, server_context
from k3py.datastore.factory import HISTORY_S, open_backend
from k3py.datastore.tls_files import TlsFiles
from k3py.errors import ConfigError
from k3py.util.garbage import search_rarely, spare_started
from k3py.util.log import set_up_logging

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.datastore.etcdapi.metrics import FaceMetrics
    from k3py.datastore.interface import Backend

METRICS_PORT = 8080

log = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ConfigError(f"{message} (see `k3py kine --help`)")


def run(arguments: Sequence[str]) -> int:
    """Run `k3py kine` until it is told to stop; returns 0 after an orderly stop.

    Raises:
        K3pyError: with the exit code of what went wrong.
    """
    flags = _parser().parse_args(arguments)
    set_up_logging(debug=flags.debug)

    search_rarely()
    import uvloop  # noqa: PLC0415 - `--help` and usage errors need not wait for it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(flags))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="k3py kine", description="Serve the datastore to clients of etcd v3.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--listen-address", default="0.0.0.0:2379", help="host:port or unix:///path (default: %(default)s)")
    add(
        "--endpoint",
        default=os.environ.get("K3PY_DATASTORE_ENDPOINT", ""),
        help="datastore, as in --datastore-endpoint (default: $K3PY_DATASTORE_ENDPOINT, else ./db/state.db)",
    )
    add("--ca-file", type=Path, metavar="FILE", help="authority of the database's certificate")
    add("--cert-file", type=Path, metavar="FILE", help="our certificate for the database")
    add("--key-file", type=Path, metavar="FILE", help="its key")
    add("--server-cert-file", type=Path, metavar="FILE", help="certificate to serve with; none: no TLS")
    add("--server-key-file", type=Path, metavar="FILE", help="its key")
    add("--server-ca-file", type=Path, metavar="FILE", help="authority whose certificates clients must have")
    add(
        "--watch-progress-notify-interval",
        type=_seconds,
        default=5.0,
        metavar="DURATION",
        help="how often silent watches that ask for it are told how far they are (default: 5s)",
    )
    add(
        "--compact-interval",
        type=_seconds,
        default=HISTORY_S,
        metavar="DURATION",
        help="history that is kept at least, 0: clients compact (default: 5m)",
    )
    add(
        "--durability",
        type=Durability,
        default=Durability.DURABLE,
        metavar="MODE",
        help="of SQLite: durable, balanced or flash, as --datastore-durability of k3py server (default: durable)",
    )
    add(
        "--metrics-bind-address",
        default="0",
        metavar="HOST:PORT",
        help="serve /metrics and /health there over plain HTTP; 0: not at all (default)",
    )
    add("--debug", action="store_true", help="log more")
    return parser


def _seconds(text: str) -> float:
    number, unit = text.rstrip("hms"), text[len(text.rstrip("hms")) :]
    factors = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    if unit not in factors:
        raise ValueError(text)
    return float(number) * factors[unit]


async def _serve(flags: argparse.Namespace) -> int:
    """Serve until a signal; one that comes while a database is waited for ends that."""
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.current_task()

    def end() -> None:
        stop.set()
        if serving is not None and not ready.is_set():
            serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        await _serve_until(flags, stop, ready)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    log.info("stopped")
    return 0


async def _serve_until(flags: argparse.Namespace, stop: asyncio.Event, ready: asyncio.Event) -> None:
    from k3py.datastore.etcdapi.server import open_etcd_server  # noqa: PLC0415 - as above

    address = parse_listen_address(flags.listen_address)
    if bool(flags.server_cert_file) != bool(flags.server_key_file):
        raise ConfigError("server-cert-file and server-key-file belong together")
    tls = None
    if flags.server_cert_file:
        tls = server_context(flags.server_cert_file, flags.server_key_file, flags.server_ca_file)
    elif flags.server_ca_file:
        raise ConfigError("server-ca-file needs server-cert-file and server-key-file")
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(
            open_backend(
                flags.endpoint,
                data_dir=Path(),
                history_s=flags.compact_interval or None,
                tls=TlsFiles(flags.ca_file, flags.cert_file, flags.key_file),
                durability=flags.durability,
                wait=True,
            )
        )
        await stack.enter_async_context(control_of(backend, flags.endpoint, Path()))
        metrics = await _open_metrics(flags.metrics_bind_address, backend, stack)
        with _listening_on(flags.listen_address):
            url = await stack.enter_async_context(
                open_etcd_server(
                    backend,
                    address,
                    tls=tls,
                    progress_interval_s=flags.watch_progress_notify_interval,
                    metrics=metrics,
                )
            )
        spare_started()
        log.info("listening", extra={"url": url, "driver": (await backend.status()).driver})
        ready.set()
        await stop.wait()


async def _open_metrics(text: str, backend: Backend, stack: AsyncExitStack) -> FaceMetrics | None:
    if text in ("", "0"):
        return None
    from k3py.datastore.etcdapi.metrics import FaceMetrics  # noqa: PLC0415 - only when asked for
    from k3py.datastore.etcdapi.metrics_listener import open_metrics_listener  # noqa: PLC0415 - as above

    address = parse_listen_address(text, flag="metrics-bind-address", default_port=METRICS_PORT)
    if address.path is not None:
        raise ConfigError(f"metrics-bind-address: {text!r} is not host:port")
    metrics = FaceMetrics()
    with _listening_on(text):
        url = await stack.enter_async_context(open_metrics_listener(backend, metrics, address))
    log.info("serving metrics", extra={"url": url})
    return metrics


@contextmanager
def _listening_on(text: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot listen on {text}: {error.strerror or error}") from error
