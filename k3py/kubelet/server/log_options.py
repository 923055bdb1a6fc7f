"""Query of /containerLogs, and lines of CRI logs. Pure. Source: pkg/kubelet/kuberuntime/logs v1.35, PodLogOptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.api.timestamps import parse_time
from k3py.kubelet.server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """tail_lines None = all; since_s: seconds since the epoch, 0 = from the beginning; limit_bytes 0 = no limit."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_s: float = 0.0
    limit_bytes: int = 0
    stream: str = ""


def parse_options(query: Mapping[str, str], now_s: float) -> LogOptions:
    """Read the query. Raises RequestError 400."""
    try:
        since_s = 0.0
        if query.get("sinceSeconds"):
            since_s = now_s - int(query["sinceSeconds"])
        elif query.get("sinceTime"):
            since_s = parse_time(query["sinceTime"]).timestamp()
        tail = query.get("tailLines") or query.get("tail") or ""
        wanted = query.get("stream") or "All"
        return LogOptions(
            follow=_is_true(query.get("follow")),
            previous=_is_true(query.get("previous")),
            timestamps=_is_true(query.get("timestamps")),
            tail_lines=None if tail in ("", "all") else int(tail),
            since_s=since_s,
            limit_bytes=int(query.get("limitBytes") or 0),
            stream="" if wanted == "All" else wanted.lower(),
        )
    except ValueError as error:
        raise RequestError(400, f'{{"message": "unable to decode query: {error}"}}') from error


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("true", "1")


class LineFilter:
    """Turns lines of a CRI log into what the client sees.

    <RFC 3339 nano> stdout|stderr F|P <text>
    """

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit_bytes or None
        self._partial = False

    @property
    def exhausted(self) -> bool:
        """Say whether the client has got all the bytes that it wants."""
        return self._left == 0

    def convert(self, line: bytes) -> bytes:
        """Return what a line (without its newline) contributes."""
        parts = line.split(b" ", 3)
        if len(parts) < 4:
            if len(parts) < 3:
                return b""
            parts.append(b"")
        stamp, stream, tags, text = parts
        options = self._options
        if options.stream and stream.decode("ascii", "replace") != options.stream:
            return b""
        if options.since_s and _stamp_s(stamp) < options.since_s:
            return b""
        partial = tags.startswith(b"P")
        out = text if partial else text + b"\n"
        if options.timestamps and not self._partial:
            out = stamp + b" " + out
        self._partial = partial
        if self._left is not None:
            out = out[: self._left]
            self._left -= len(out)
        return out


def _stamp_s(stamp: bytes) -> float:
    try:
        return parse_time(stamp.decode("ascii")).timestamp()
    except ValueError:
        # Not a time: shown rather than hidden.
        return float("inf")
