"""Bounds how many Events come in: all together, of a namespace, of a user, about an object; off by default.

Source: kubernetes/plugin/pkg/admission/eventratelimit v1.35.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.apiserver.admission.plugins.base import BasePlugin
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.apiserver.interface import AdmissionRequest

LIMIT_TYPES: Final = ("Server", "Namespace", "User", "SourceAndObject")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimit:
    """type: one of LIMIT_TYPES. qps: Events a second. burst: at once. cache_size: keys that are remembered, those used last."""

    type: str
    qps: int
    burst: int
    cache_size: int = 4096


class _Buckets:
    """Token buckets by key: (tokens, time of the last look)."""

    def __init__(self, limit: EventLimit, now_s: Callable[[], float]) -> None:
        self._limit = limit
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Take a token; False = there is none."""
        now = self._now_s()
        tokens, then = self._buckets.pop(key, (float(self._limit.burst), now))
        tokens = min(tokens + (now - then) * self._limit.qps, float(self._limit.burst))
        has = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if has else tokens, now)
        if len(self._buckets) > self._limit.cache_size:
            self._buckets.popitem(last=False)
        return has


class EventRateLimit(BasePlugin):
    """See the module."""

    name = "EventRateLimit"

    def __init__(
        self, limits: Sequence[EventLimit], *, now_s: Callable[[], float] = clock.monotonic_s
    ) -> None:
        self._limits = [(one, _Buckets(one, now_s)) for one in limits]

    def handles(self, request: AdmissionRequest) -> bool:
        """See writes of Events."""
        kind = request.kind
        is_event = (kind.group, kind.plural) == ("", "events") and not request.subresource
        return is_event and request.operation in ("CREATE", "UPDATE") and not request.dry_run

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 429 what is too much; every limit counts the Event."""
        faults = []
        for limit, buckets in self._limits:
            key = _key_of(limit.type, request)
            if not buckets.take(key):
                faults.append(f"limit reached on type {limit.type} for key {key}")
        if faults:
            text = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
            raise ApiError(429, "TooManyRequests", text)


def _key_of(kind: str, request: AdmissionRequest) -> str:
    match kind:
        case "Namespace":
            return request.namespace
        case "User":
            return request.user.name
        case "SourceAndObject":
            event = request.obj or {}
            source, about = event.get("source") or {}, event.get("involvedObject") or {}
            fields = ("kind", "namespace", "name", "uid", "apiVersion")
            return "".join(
                (source.get("component", ""), source.get("host", ""), *(about.get(one, "") for one in fields))
            )
    return ""
