"""Begins trails, by the policy, and hands their events to the backends."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from k3py.api.status import ApiError
from k3py.apiserver.audit.policy import Level, Subject
from k3py.apiserver.audit.trail import Trail, describe_user
from k3py.apiserver.interface import ObjectResult, WatchResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.user import User
    from k3py.apiserver.audit.policy import Policy
    from k3py.apiserver.exchange import Exchange
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.apiserver.interface import ApiRequest, Dispatcher, Result
    from k3py.jsontypes import JsonObject

_LOCAL: Final = "127.0.0.1"
_NO_LOGIN: Final = "Authentication failed"


class Backend(Protocol):
    """Writes events."""

    async def room(self) -> None:
        """Wait until an event can be taken, if this backend makes requests wait for it."""

    def take(self, line: bytes) -> None:
        """Take an event: JSON without a newline."""


class AuditRecorder:
    """What the API server calls."""

    def __init__(self, policy: Policy, backends: Sequence[Backend]) -> None:
        self._policy = policy
        self._backends = tuple(backends)

    async def begin(self, exchange: Exchange) -> Trail | None:
        """Begin a request whose sender is known; None when the policy wants nothing of it."""
        info, user = exchange.info, exchange.user
        verdict = self._policy.decide(_subject_of(info, user))
        if verdict.level is Level.NONE:
            return None
        for backend in self._backends:
            await backend.room()
        trail = Trail(verdict, self._base_of(exchange, user), self._emit)
        trail.received()
        return trail

    def refuse_login(self, exchange: Exchange) -> None:
        """Write that credentials were refused: 401."""
        info, user = exchange.info, exchange.user
        verdict = self._policy.decide(_subject_of(info, user))
        if verdict.level is Level.NONE:
            return
        base = self._base_of(exchange, user)
        del base["user"]
        trail = Trail(verdict, {**base, "user": {}}, self._emit)
        trail.completed(401, {"status": "Failure", "message": _NO_LOGIN, "reason": "Unauthorized"})

    def _base_of(self, exchange: Exchange, user: User) -> JsonObject:
        info, request = exchange.info, exchange.request
        base: JsonObject = {
            "auditID": exchange.audit_id,
            "requestURI": request.raw_path,
            "verb": info.verb,
            "user": describe_user(user),
            "sourceIPs": [request.remote] if request.remote else [],
        }
        if agent := request.headers.get("User-Agent", ""):
            base["userAgent"] = agent[:1024]
        if info.is_resource and info.resource:
            base["objectRef"] = _reference(info)
        return base

    def begin_local(self, request: ApiRequest) -> Trail | None:
        """Begin a request of a component of this process."""
        resource = request.resource
        combined = f"{resource.plural}/{request.subresource}" if request.subresource else resource.plural
        subject = Subject(
            user=request.user,
            verb=request.verb,
            group=resource.group,
            resource=combined,
            namespace=request.namespace,
            name=request.name,
        )
        verdict = self._policy.decide(subject)
        if verdict.level is Level.NONE:
            return None
        reference = {
            "resource": resource.plural,
            "namespace": request.namespace,
            "name": request.name,
            "apiGroup": resource.group,
            "apiVersion": resource.version,
            "subresource": request.subresource,
        }
        base: JsonObject = {
            "auditID": str(uuid.uuid4()),
            "requestURI": resource.path(request.namespace, request.name, request.subresource),
            "verb": request.verb,
            "user": describe_user(request.user),
            "sourceIPs": [_LOCAL],
            "userAgent": request.user_agent,
            "objectRef": {key: value for key, value in reference.items() if value},
        }
        trail = Trail(verdict, base, self._emit)
        trail.received()
        return trail

    def _emit(self, event: JsonObject) -> None:
        line = orjson.dumps(event)
        for backend in self._backends:
            backend.take(line)


class AuditedDispatcher:
    """The Dispatcher for components of this process: the same, and audited."""

    def __init__(self, dispatcher: Dispatcher, recorder: AuditRecorder) -> None:
        self._dispatcher = dispatcher
        self._recorder = recorder

    async def dispatch(self, request: ApiRequest) -> Result:
        """Carry out a request. Raises ApiError."""
        trail = self._recorder.begin_local(request)
        if trail is None:
            return await self._dispatcher.dispatch(request)
        request.annotations = trail.annotations
        trail.about(request.body)
        if trail.wants_request and request.body is not None:
            trail.take_request(orjson.dumps(request.body))
        try:
            result = await self._dispatcher.dispatch(request)
        except ApiError as error:
            trail.completed(error.code, error.to_status())
            raise
        if isinstance(result, WatchResult):
            trail.started(200)
            return result
        if trail.wants_response and isinstance(result, ObjectResult):
            view = result.view
            trail.take_response(view.served if view is not None else orjson.dumps(result.document))
        trail.completed(result.status_code if isinstance(result, ObjectResult) else 200)
        return result


def _subject_of(info: RequestInfo, user: User) -> Subject:
    if not info.is_resource or not info.resource:
        return Subject(user=user, verb=info.verb, path=info.path)
    return Subject(
        user=user,
        verb=info.verb,
        path=info.path,
        group=info.group,
        resource=f"{info.resource}/{info.subresource}" if info.subresource else info.resource,
        namespace=info.namespace,
        name=info.name,
    )


def _reference(info: RequestInfo) -> JsonObject:
    found = {
        "resource": info.resource,
        "namespace": info.namespace,
        "name": info.name,
        "apiGroup": info.group,
        "apiVersion": info.version,
        "subresource": info.subresource,
    }
    return {key: value for key, value in found.items() if value}


if TYPE_CHECKING:

    def _check(one: AuditedDispatcher) -> Dispatcher:
        return one
