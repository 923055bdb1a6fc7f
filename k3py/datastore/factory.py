"""Opens the store that a `--datastore-endpoint` names; drivers are imported when chosen."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from k3py.datastore.durability import Durability
from k3py.datastore.endpoint import parse_mysql, parse_postgres
from k3py.datastore.errors import Incomplete, Unavailable
from k3py.datastore.etcdapi import endpoints as etcd_endpoints
from k3py.datastore.tls_files import TlsFiles
from k3py.datastore.witness import Witness
from k3py.errors import ConfigError
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from k3py.datastore.interface import Backend

log = logging.getLogger(__name__)

DATABASE_PATH = Path("db/state.db")
"""Where SQLite lives below the data directory when no endpoint is given."""

INCOMPLETE_KEY = b"k3py/incomplete-import"
"""Exists while a store is being filled by an import (see `transfer.loading`)."""

RETRY_FIRST_S = 0.5
RETRY_CAP_S = 15.0

HISTORY_S = 300.0
"""How long watches and paged lists can go back at least (Kubernetes' compaction interval)."""


@asynccontextmanager
async def open_backend(
    endpoint: str,
    *,
    data_dir: Path | None = None,
    history_s: float | None = HISTORY_S,
    incomplete: bool = False,
    tls: TlsFiles | None = None,
    durability: Durability = Durability.DURABLE,
    wait: bool = False,
    witness: Path | None = None,
) -> AsyncIterator[Backend]:
    """Open a store; leaving the block finishes its writes and closes it.

    Args:
        endpoint: "" = SQLite at `data_dir`/db/state.db; `sqlite:///absolute/path`; `memory://`; `postgres://…` and `mysql://…`
            as in k3py.datastore.endpoint; an etcd cluster as
            `https://host:port,https://host:port` (or http, unix, unixs).
        data_dir: only used when `endpoint` is empty.
        history_s: older revisions are compacted, seconds; None: nothing is, unless `Backend.compact` is called.
        incomplete: also open a store with an import that did not finish.
        tls: files for TLS to a server.
        durability: of an SQLite store; others have settings of their own.
        witness: file of this server that tells what revision it has seen of a database server or an etcd (`witness`).
        wait: while a database server or an etcd does not answer, say so and try again.

    Raises:
        ConfigError: the endpoint names no known driver, or the server is not fit; says what to change.
        Corrupt, Locked, NoSpace, Unavailable: as the driver finds it.
        Incomplete: an import into the store did not finish.
    """
    async with AsyncExitStack() as stack:
        pauses = Backoff(first_s=RETRY_FIRST_S, cap_s=RETRY_CAP_S) if wait and _is_remote(endpoint) else None
        backend = await _open(
            stack, lambda: _opening(endpoint, data_dir, history_s, tls or TlsFiles(), durability), pauses
        )
        if not incomplete and (await backend.range(INCOMPLETE_KEY, count_only=True)).count:
            raise Incomplete(
                f"an import into {name_of(endpoint, data_dir)} did not finish: repeat it with --force, or name another store"
            )
        if witness is None or not _is_remote(endpoint):
            yield backend
            return
        watcher = Witness(witness, name_of(endpoint))
        await watcher.check(backend)
        backend.on_compacted(watcher.note)
        try:
            yield backend
        finally:
            await watcher.note(backend.current_revision)


async def _open(
    stack: AsyncExitStack, make: Callable[[], AbstractAsyncContextManager[Backend]], pauses: Backoff | None
) -> Backend:
    while True:
        try:
            return await stack.enter_async_context(make())
        except Unavailable as error:
            if pauses is None:
                raise
            pause_s = pauses.next_s()
            log.warning(
                "waiting for the datastore", extra={"error": str(error), "next_attempt_s": round(pause_s, 1)}
            )
        await asyncio.sleep(pause_s)


def _is_remote(endpoint: str) -> bool:
    return bool(endpoint) and endpoint.partition("://")[0] not in ("sqlite", "memory")


def name_of(endpoint: str, data_dir: Path | None = None) -> str:
    """Return an endpoint as messages may show it: without credentials and options."""
    if not endpoint:
        return str(DATABASE_PATH if data_dir is None else data_dir / DATABASE_PATH)
    scheme, separator, rest = endpoint.partition("://")
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0]


def sqlite_path(endpoint: str, data_dir: Path | None = None) -> Path | None:
    """Return the file of an SQLite store, None for another driver. Raises ConfigError: the endpoint is misspelt."""
    if not endpoint:
        if data_dir is None:
            raise ConfigError("--datastore-endpoint: is empty and there is no data directory")
        return data_dir / DATABASE_PATH
    if not endpoint.startswith("sqlite://"):
        return None
    parts = urlsplit(endpoint)
    if parts.netloc or not parts.path.startswith("/") or parts.query:
        raise ConfigError("--datastore-endpoint: SQLite must be named as sqlite:///absolute/path/of/the/file")
    return Path(unquote(parts.path))


def _opening(
    endpoint: str, data_dir: Path | None, history_s: float | None, tls: TlsFiles, durability: Durability
) -> AbstractAsyncContextManager[Backend]:
    path = sqlite_path(endpoint, data_dir)
    if path is not None:
        return _driver("sqlite", "open_sqlite")(path, history_s=history_s, durability=durability)
    if durability is not Durability.DURABLE:
        raise ConfigError(
            f"--datastore-durability: {durability.value!r}: must be durable for {name_of(endpoint)}: the other modes are SQLite's"
        )
    scheme = endpoint.partition("://")[0]
    if scheme in ("postgres", "postgresql"):
        return _driver("postgres", "open_postgres")(parse_postgres(endpoint, tls), history_s=history_s)
    if scheme == "mysql":
        return _driver("mysql", "open_mysql")(parse_mysql(endpoint, tls), history_s=history_s)
    if scheme == "memory":
        return _driver("memory", "open_memory")(history_s=history_s)
    if scheme in etcd_endpoints.SCHEMES:
        encrypted, addresses = etcd_endpoints.parse_etcd_endpoints(endpoint)
        context = (
            etcd_endpoints.client_context(tls.ca, tls.certificate, tls.key) if encrypted or tls else None
        )
        return _driver("etcd", "open_etcd")(addresses, tls=context, history_s=history_s)
    shown = f"scheme {scheme!r}" if "://" in endpoint else "no scheme"
    raise ConfigError(
        f"--datastore-endpoint: {shown}: must be sqlite:///path, postgres://, mysql://, memory:// or https://host:port of an etcd"
    )


def _driver(module: str, name: str) -> Callable[..., AbstractAsyncContextManager[Backend]]:
    opening = getattr(import_module(f"k3py.datastore.drivers.{module}"), name)
    return cast("Callable[..., AbstractAsyncContextManager[Backend]]", opening)
