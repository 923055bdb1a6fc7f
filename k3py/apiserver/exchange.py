"""One HTTP request on its way through filters and handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from k3py.api.user import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web

    from k3py.api.user import User
    from k3py.apiserver.audit.trail import Trail
    from k3py.apiserver.encoding.codec import Codec
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.apiserver.flow_control.flow_control import Seat

_NO_OPTIONS: Final[Mapping[str, str]] = {}
_NO_MULTI_OPTIONS: Final[Mapping[str, Sequence[str]]] = {}


class Exchange:
    """What filters learn about a request, for those behind them.

    Attributes:
        request: the HTTP request.
        info: what it is about.
        options: query parameters, last value of each; multi_options: all values of each.
        accept: the Accept header, "" = none.
        user: who asks; set by authentication and by impersonation.
        audit_id: value of Audit-Id, sent back.
        warnings: texts for Warning headers.
        codec: reads and writes documents.
        begun: part of an answer has gone out, so that an error can only end the connection.
        seat: its place among the requests that run; None = it needs none.
        streaming: the head of the answer has gone out, so that an error can only end the connection.
        trail: the request's audit events, None = it is not audited.
    """

    __slots__ = (
        "_streaming",
        "accept",
        "audit_id",
        "begun",
        "codec",
        "info",
        "multi_options",
        "options",
        "request",
        "seat",
        "trail",
        "user",
        "warnings",
    )

    def __init__(
        self, request: web.BaseRequest, info: RequestInfo, query: str, audit_id: str, codec: Codec
    ) -> None:
        self.codec = codec
        self.request = request
        self.info = info
        self.audit_id = audit_id
        self.user: User = ANONYMOUS
        self._streaming = False
        self.trail: Trail | None = None
        self.begun = False
        self.seat: Seat | None = None
        self.warnings: list[str] = []
        self.accept: str = request.headers.get("Accept", "")
        self.options: Mapping[str, str] = _NO_OPTIONS
        self.multi_options: Mapping[str, Sequence[str]] = _NO_MULTI_OPTIONS
        if query:
            pairs = parse_qsl(query, keep_blank_values=True)
            self.options = dict(pairs)
            multi: dict[str, list[str]] = {}
            for name, value in pairs:
                multi.setdefault(name, []).append(value)
            self.multi_options = multi

    def leave_seat(self) -> None:
        """Let another request run: this one is done, or only streams from now on."""
        if self.seat is not None:
            self.seat.leave()

    @property
    def streaming(self) -> bool:
        """Say whether the head of the answer has gone out."""
        return self._streaming

    @streaming.setter
    def streaming(self, value: bool) -> None:
        self._streaming = value
        if value and self.trail is not None:
            self.trail.started(101 if "Upgrade" in self.request.headers else 200)

    @property
    def is_pretty(self) -> bool:
        """Say whether the client, a human most likely, wants indented JSON. Source: k8s.io/apiserver negotiated writers."""
        wish = self.options.get("pretty")
        if wish is not None:
            return wish not in ("0", "f", "F", "false", "False", "FALSE")
        agent = self.request.headers.get("User-Agent", "")
        return agent.startswith(("curl", "Wget", "Mozilla/5.0"))
