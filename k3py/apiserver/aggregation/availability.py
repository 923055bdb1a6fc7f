"""Whether extension API servers can be used: checks them, writes their APIServices' condition, keeps what they say they serve.

A check is made when an APIService, its Service or that one's endpoints change, and every half a minute: an extension API server that
dies or comes back tells nobody. Without such APIServices nothing runs. A check asks for the version's own discovery document, so that
it also brings discovery up to date.
Source: k8s.io/kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go v0.35.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.conditions import set_condition
from k3py.api.kinds.apiregistration.api_service import AVAILABLE, local_conditions
from k3py.api.object import deep_copy
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.apiserver.aggregation.endpoints import Unavailable
from k3py.apiserver.aggregation.local_services import API_SERVER, API_SERVICES
from k3py.apiserver.follower import Follower
from k3py.apiserver.interface import ApiRequest
from k3py.apiserver.registry.subresources.proxy import SERVICE_LABEL
from k3py.storage.errors import StorageError
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from k3py.api.registry import KindRegistry
    from k3py.apiserver.aggregation.api_services import ApiServices, Registration
    from k3py.apiserver.aggregation.client import ExtensionClient
    from k3py.apiserver.interface import Dispatcher
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Storage

log = logging.getLogger(__name__)

_CHECK_S: Final = 30.0
_ANSWER_S: Final = 6.0
_FIRST_RETRY_S: Final = 0.5


class _Watched:
    """One registration under observation; `due` is set when it must be looked at again."""

    __slots__ = ("due", "registration", "task")

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.due = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Availability:
    """Watches over all remote registrations; see the module.

    Args:
        services: the index of APIServices.
        client: asks extension API servers.
        dispatcher: the front door, for conditions.
        storage, kinds: where Services and EndpointSlices are followed.
        now: the wall clock.
    """

    def __init__(
        self,
        *,
        services: ApiServices,
        client: ExtensionClient,
        dispatcher: Dispatcher,
        storage: Storage,
        kinds: KindRegistry,
        now: Callable[[], datetime],
    ) -> None:
        self._services = services
        self._client = client
        self._dispatcher = dispatcher
        self._storage = storage
        self._kinds = kinds
        self._now = now
        self._watched: dict[str, _Watched] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Watch over registrations until cancelled. Raises StorageError."""
        self._services.subscribe(self._changed.put_nowait)
        for name in self._services:
            self._changed.put_nowait(name)
        following = False
        async with TaskScope() as scope:
            while True:
                name = await self._changed.get()
                await self._take(name, scope)
                if self._watched and not following:
                    following = True
                    self._follow(scope)

    async def _take(self, name: str, scope: TaskScope) -> None:
        """Begin, go on or end watching over one APIService."""
        registration = self._services.find_registration(name)
        watched = self._watched.get(name)
        if registration is None or not registration.is_remote:
            if watched is not None:
                self._stop(name, watched)
            if registration is not None:
                await self._note_local(registration)
            return
        if watched is not None and registration.uid != watched.registration.uid:
            self._stop(name, watched)
            watched = None
        if watched is None:
            watched = self._watched[name] = _Watched(registration)
            watched.task = scope.spawn(self._watch_over(watched), name=f"available-{name}")
        elif not registration.leads_like(watched.registration):
            watched.due.set()
        watched.registration = registration

    async def _note_local(self, registration: Registration) -> None:
        """Say that this server serves a version itself; what cannot be written is said at the next change."""
        try:
            _ = await self._write(registration, None)
        except (ApiError, StorageError) as error:
            log.warning("writing availability failed", extra={"error": str(error)})

    def _stop(self, name: str, watched: _Watched) -> None:
        del self._watched[name]
        self._services.forget_resources(watched.registration)
        if watched.task is not None:
            watched.task.cancel()

    def _follow(self, scope: TaskScope) -> None:
        for group, plural, handle in (
            ("", "services", self._on_service),
            ("discovery.k8s.io", "endpointslices", self._on_slice),
        ):
            kind = self._kinds.find(group, "v1", plural)
            if kind is not None:
                follower = Follower(self._storage, kind, handle)
                _ = scope.spawn(follower.run(lambda: None), name=f"follow-{plural}")

    def _on_service(self, key: tuple[str, str], _obj: JsonObject | None) -> None:
        for one in self._watched.values():
            service = one.registration.service
            if service is not None and (service.namespace, service.name) == key:
                one.due.set()

    def _on_slice(self, key: tuple[str, str], obj: JsonObject | None) -> None:
        name = ((obj or {}).get("metadata", {}).get("labels") or {}).get(SERVICE_LABEL, "")
        for one in self._watched.values():
            service = one.registration.service
            if service is None or service.namespace != key[0]:
                continue
            if name == service.name or (obj is None and key[1].startswith(service.name)):
                one.due.set()

    async def _watch_over(self, watched: _Watched) -> None:
        backoff = Backoff(first_s=_FIRST_RETRY_S, cap_s=_CHECK_S, jitter=0.2)
        while True:
            watched.due.clear()
            fault: Unavailable | None = None
            try:
                fault = await self._check(watched.registration)
                written = await self._write(watched.registration, fault)
            except (ApiError, StorageError) as error:
                log.warning("writing availability failed", extra={"error": str(error)})
                written = False
            except Exception:  # what one server answers must not stop the others
                log.exception("checking failed", extra={"api_service": watched.registration.name})
                written = False
            if fault is None and written:
                backoff.reset()
            pause_s = _CHECK_S if fault is None and written else backoff.next_s()
            try:
                async with asyncio.timeout(pause_s):
                    await watched.due.wait()
            except TimeoutError:
                continue

    async def _check(self, registration: Registration) -> Unavailable | None:
        """Return what is wrong with an extension API server, None = nothing."""
        path = f"/apis/{registration.group}/{registration.version}"
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await self._client.get(registration, path, user=API_SERVER)
        except Unavailable as error:
            return error
        except TimeoutError:
            return Unavailable(
                "FailedDiscoveryCheck",
                f"failing or missing response from {path}: timed out waiting for {path}",
            )
        except OSError as error:
            return Unavailable("FailedDiscoveryCheck", f"failing or missing response from {path}: {error}")
        if not 200 <= answer.status < 300:
            message = f"failing or missing response from {answer.url}: bad status from {answer.url}: {answer.status}"
            return Unavailable("FailedDiscoveryCheck", message)
        self._services.keep_resources(registration, answer.document)
        return None

    async def _write(self, registration: Registration, fault: Unavailable | None) -> bool:
        """Write the condition where it is another one; False when it must be tried again. Raises ApiError."""
        present = self._services.find(registration.name)
        if present is None or present["metadata"].get("uid", "") != registration.uid:
            return True
        before = (present.get("status") or {}).get("conditions") or []
        now = format_time(self._now())
        if not registration.is_remote:
            conditions = local_conditions(before, now)
        elif fault is None:
            conditions = set_condition(
                before, AVAILABLE, "True", reason="Passed", message="all checks passed", now=now
            )
        else:
            conditions = set_condition(
                before, AVAILABLE, fault.status, reason=fault.reason, message=fault.message, now=now
            )
        if conditions == before:
            return True
        body: JsonObject = deep_copy(present)
        body["status"] = {**(present.get("status") or {}), "conditions": conditions}
        request = ApiRequest(
            verb="update",
            resource=API_SERVICES,
            user=API_SERVER,
            user_agent="kube-apiserver",
            name=registration.name,
            subresource="status",
            body=body,
        )
        try:
            await self._dispatcher.dispatch(request)
        except ApiError as error:
            if error.code == 404:
                return True
            if error.code != 409:
                raise
            return False
        return True
