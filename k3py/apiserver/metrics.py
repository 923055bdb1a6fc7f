"""The API server's own metrics; names and labels as upstream's stable ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util.metrics import Computed, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.apiserver.flow_control.flow_control import FlowControl
    from k3py.util.metrics import Registry

_SECONDS: Final = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
_BYTES: Final = (1_000, 10_000, 100_000, 1e6, 1e7, 1e8, 1e9)
_ADDRESS: Final = ("component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version")
_UPPER: Final = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
}


class RequestMetrics:
    """Counts requests and their durations, and those that are running (`limit` knows the short ones)."""

    def __init__(self, registry: Registry, limit: FlowControl) -> None:
        self._total = Counter("apiserver_request_total", "Requests by address and code.", ("code", *_ADDRESS))
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "Latency of requests that are not long-running.",
            _ADDRESS,
            buckets=_SECONDS,
        )
        in_flight = Computed(
            "apiserver_current_inflight_requests",
            "Requests in flight.",
            ("request_kind",),
            lambda: ((("readOnly",), limit.reading), (("mutating",), limit.mutating)),
        )
        self.long_running = Gauge(
            "apiserver_longrunning_requests",
            "Long-running requests by address.",
            ("component", "group", "resource", "scope", "subresource", "verb", "version"),
        )
        self._sizes = Histogram(
            "apiserver_response_sizes",
            "Size of answers in bytes.",
            ("component", "group", "resource", "scope", "subresource", "verb", "version"),
            buckets=_BYTES,
        )
        self._deprecated = Gauge(
            "apiserver_requested_deprecated_apis",
            "1 for each deprecated API that was asked for.",
            ("group", "removed_release", "resource", "subresource", "version"),
        )
        registry.add(self._total, self._seconds, self._sizes, self._deprecated, in_flight, self.long_running)

    def observe_deprecated(self, info: RequestInfo) -> None:
        """Note that somebody uses what will go one day."""
        self._deprecated.set(info.group, "", info.resource, info.subresource, info.version, to=1)

    def observe(
        self, info: RequestInfo, code: int, seconds: float, *, dry_run: str, size_bytes: int = 0
    ) -> None:
        """Count one request; of unknown resources only known words become labels."""
        verb = _UPPER.get(info.verb, "other") if info.is_resource else info.method
        address = (
            "apiserver",
            dry_run,
            info.group,
            info.resource,
            info.scope,
            info.subresource,
            verb,
            info.version,
        )
        self._total.add(str(code), *address)
        if not info.is_long_running:
            self._seconds.observe(seconds, *address)
            self._sizes.observe(size_bytes, address[0], *address[2:])

    def count_long_running(self, info: RequestInfo, change: int) -> None:
        """Note that a long-running request began (1) or ended (-1)."""
        self.long_running.add(
            "apiserver",
            info.group,
            info.resource,
            info.scope,
            info.subresource,
            _UPPER.get(info.verb, "other"),
            info.version,
            amount=change,
        )
