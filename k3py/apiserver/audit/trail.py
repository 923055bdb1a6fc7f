"""What is written of one request, stage by stage, as Events of audit.k8s.io/v1.

Source: k8s.io/apiserver/pkg/audit/request.go, pkg/endpoints/filters/audit.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from k3py.api.timestamps import format_micro_time
from k3py.apiserver.audit.policy import Level
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.user import User
    from k3py.apiserver.audit.policy import Verdict
    from k3py.jsontypes import JsonObject, JsonValue


class Trail:
    """The events of one request.

    Attributes:
        annotations: what others add; `authorization.k8s.io/decision` and `…/reason` by the Dispatcher.
    """

    __slots__ = ("_base", "_emit", "_request", "_response", "_verdict", "annotations")

    def __init__(self, verdict: Verdict, base: JsonObject, emit: Callable[[JsonObject], None]) -> None:
        self._verdict = verdict
        self._base = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": verdict.level.word,
            **base,
            "requestReceivedTimestamp": format_micro_time(clock.now()),
        }
        self._emit = emit
        self._request = b""
        self._response = b""
        self.annotations: dict[str, str] = {}

    @property
    def wants_request(self) -> bool:
        """Say whether the request's body is to be written."""
        return self._verdict.level >= Level.REQUEST

    @property
    def wants_response(self) -> bool:
        """Say whether the answer is to be written."""
        return self._verdict.level >= Level.REQUEST_RESPONSE

    def impersonated(self, user: User) -> None:
        """The requester acts as somebody else."""
        self._base["impersonatedUser"] = describe_user(user)

    def about(self, body: JsonValue) -> None:
        """Complete what the request is about by its body: a new object's name stands there only."""
        reference = self._base.get("objectRef")
        if reference is None or not isinstance(body, dict) or "name" in reference:
            return
        metadata = body.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if isinstance(name, str) and name:
            self._base["objectRef"] = {**reference, "name": name}

    def take_request(self, document: bytes) -> None:
        """Take the request's body, in JSON."""
        self._request = self._prune(document)

    def take_response(self, document: bytes) -> None:
        """Take the answer, in JSON."""
        self._response = self._prune(document)

    def received(self) -> None:
        """The request is there and its sender known."""
        self._write("RequestReceived")

    def started(self, code: int) -> None:
        """The head of a long answer goes out."""
        self._write("ResponseStarted", {"metadata": {}, "code": code})

    def completed(self, code: int, status: JsonObject | None = None) -> None:
        """The answer is complete; `status`: the Status of a failure."""
        self._write("ResponseComplete", _response_status(code, status))

    def panicked(self, code: int, status: JsonObject | None) -> None:
        """The server failed."""
        self._write("Panic", _response_status(code, status))

    def _write(self, stage: str, response_status: JsonObject | None = None) -> None:
        if stage in self._verdict.omit_stages:
            return
        event: JsonObject = {**self._base, "stage": stage, "stageTimestamp": format_micro_time(clock.now())}
        if response_status is not None:
            event["responseStatus"] = response_status
        if stage != "RequestReceived":
            if self._request:
                event["requestObject"] = orjson.Fragment(self._request)
            if self._response:
                event["responseObject"] = orjson.Fragment(self._response)
            if self.annotations:
                event["annotations"] = dict(self.annotations)
        self._emit(event)

    def _prune(self, document: bytes) -> bytes:
        if not self._verdict.omit_managed_fields or b'"managedFields"' not in document:
            return document
        parsed = orjson.loads(document)
        if isinstance(parsed, dict):
            for one in (parsed, *(parsed.get("items") or ())):
                if isinstance(one, dict) and isinstance(one.get("metadata"), dict):
                    one["metadata"].pop("managedFields", None)
        return orjson.dumps(parsed)


def describe_user(user: User) -> JsonObject:
    """Return a UserInfo."""
    info: JsonObject = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _response_status(code: int, status: JsonObject | None) -> JsonObject:
    found: JsonObject = {"metadata": {}, "code": code}
    if status is not None:
        found |= {key: status[key] for key in ("status", "message", "reason", "details") if status.get(key)}
    return found
