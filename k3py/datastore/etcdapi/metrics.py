"""Figures of the etcd face under etcd's own names, so that what reads an etcd's metrics reads these."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from k3py.datastore.etcdapi.store import ETCD_VERSION
from k3py.util.metrics import Computed, Counter, Histogram, Registry, process_metrics
from k3py.util.process_stats import ProcessStats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized

    from k3py.datastore.interface import Backend, BackendStatus

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CALL: Final = ("grpc_service", "grpc_method")


class FaceMetrics:
    """Counts calls, watches and streams; reads the store's figures when somebody asks."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._handled = Counter("grpc_server_handled_total", "Calls by their outcome.", (*_CALL, "grpc_code"))
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "Latency of calls with one answer.", _CALL, buckets=_SECONDS
        )
        self._watch_streams: list[Sized] = []
        self._status: BackendStatus | None = None
        self._registry.add(self._handled, self._seconds)
        self._registry.add(*process_metrics(ProcessStats().read))
        self._registry.add(
            Computed("etcd_server_has_leader", "Always.", (), lambda: [((), 1)]),
            Computed(
                "etcd_server_version", "Served version.", ("server_version",), lambda: [((ETCD_VERSION,), 1)]
            ),
            Computed("etcd_debugging_mvcc_watcher_total", "Open watches.", (), self._watches),
            Computed(
                "etcd_debugging_mvcc_watch_stream_total",
                "Open streams of watches.",
                (),
                lambda: [((), len(self._watch_streams))],
            ),
            Computed("k3py_datastore_info", "Kind of store.", ("driver",), self._driver),
            *(
                Computed(name, help_text, (), partial(self._figure, attribute))
                for name, help_text, attribute in (
                    ("etcd_mvcc_db_total_size_in_bytes", "Size of the store.", "size_bytes"),
                    (
                        "etcd_mvcc_db_total_size_in_use_in_bytes",
                        "Size of its content.",
                        "size_in_use_bytes",
                    ),
                    ("etcd_debugging_mvcc_current_revision", "Newest revision.", "revision"),
                    ("etcd_debugging_mvcc_compact_revision", "Compacted revision.", "compact_revision"),
                )
            ),
        )

    def observe(self, path: str, code: str, seconds: float | None) -> None:
        """Count a call of `path` ("KV/Range") that ended with gRPC's `code`; `seconds` of a call with one answer."""
        service, _, method = path.partition("/")
        self._handled.add(f"etcdserverpb.{service}", method, code)
        if seconds is not None:
            self._seconds.observe(seconds, f"etcdserverpb.{service}", method)

    @contextmanager
    def watch_stream(self, watches: Sized) -> Iterator[None]:
        """Count the stream of `watches` for the time of the block."""
        self._watch_streams.append(watches)
        try:
            yield
        finally:
            self._watch_streams.remove(watches)

    def _watches(self) -> list[tuple[tuple[str, ...], float]]:
        return [((), sum(len(watches) for watches in self._watch_streams))]

    async def to_text(self, backend: Backend) -> str:
        """Return Prometheus' text format. Raises what the store raises when it cannot tell its size."""
        self._status = await backend.status()
        return self._registry.to_text()

    def _driver(self) -> list[tuple[tuple[str, ...], float]]:
        return [] if self._status is None else [((self._status.driver,), 1)]

    def _figure(self, attribute: str) -> list[tuple[tuple[str, ...], float]]:
        return [] if self._status is None else [((), getattr(self._status, attribute))]
