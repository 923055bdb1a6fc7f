"""Keeps the APIServices of groups and versions that this server serves itself.

Built-in ones are made at the start and then left to their owners ("onstart"); those of custom resources follow the definitions ("true").
Ones without the label belong to users and are never touched.
Source: k8s.io/kube-aggregator/pkg/controllers/autoregister and pkg/controlplane/controller/crdregistration v1.35.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import Resource
from k3py.api.status import ApiError
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.apiserver.aggregation.priorities import AGGREGATOR_GROUP, group_priority, version_priority
from k3py.apiserver.interface import ApiRequest
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.aggregation.api_services import ApiServices
    from k3py.apiserver.interface import Dispatcher
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

API_SERVICES: Final = Resource(AGGREGATOR_GROUP, "v1", "apiservices", "APIService", namespaced=False)
API_SERVER: Final = User(name="system:apiserver", groups=(MASTERS, AUTHENTICATED))
MANAGED: Final = "kube-aggregator.kubernetes.io/automanaged"
_AT_START: Final = "onstart"
_ALWAYS: Final = "true"


class LocalApiServices:
    """Writes APIServices so that they say what the registry of kinds says."""

    def __init__(self, dispatcher: Dispatcher, kinds: KindRegistry, services: ApiServices) -> None:
        self._dispatcher = dispatcher
        self._kinds = kinds
        self._services = services
        self._changed = asyncio.Event()
        self._seen: set[str] = set()  # made, or found as they should be, since the start
        self._unwanted: set[str] = set()  # built-in ones of an older server, to be removed once

    async def run(self) -> None:
        """Write what is missing, then follow definitions and APIServices until cancelled."""
        backoff = Backoff(first_s=0.5, cap_s=60.0, jitter=0.3)
        unsubscribe = self._kinds.subscribe(self._changed.set)
        self._services.subscribe(self._on_service)
        self._unwanted = {name for name in self._services if self._mode_of(name) == _AT_START}
        self._changed.set()
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    await self._settle()
                    backoff.reset()
                except ApiError as error:
                    log.warning("keeping APIServices failed", extra={"error": error.message})
                    await asyncio.sleep(backoff.next_s())
                    self._changed.set()
        finally:
            unsubscribe()

    def _on_service(self, name: str) -> None:
        if self._mode_of(name) == _ALWAYS or self._services.find(name) is None:
            self._changed.set()

    def _mode_of(self, name: str) -> str:
        obj = self._services.find(name)
        return str((obj["metadata"].get("labels") or {}).get(MANAGED, "")) if obj is not None else ""

    async def _settle(self) -> None:
        wanted = {
            f"{version}.{group}": _document(group, version, _ALWAYS if custom else _AT_START)
            for (group, version), custom in self._list_served().items()
        }
        async with TaskScope() as scope:  # at once, so that their writes share commits
            tasks = [
                scope.spawn(self._try_to_ensure(name, document), name=f"api-service-{name}")
                for name, document in wanted.items()
            ]
        for task in tasks:
            if (fault := task.result()) is not None:
                raise fault
        for name in self._services:
            mode = self._mode_of(name)
            if name not in wanted and (mode == _ALWAYS or (mode == _AT_START and name in self._unwanted)):
                self._unwanted.discard(name)
                _ = await self._send("delete", name)

    def _list_served(self) -> dict[tuple[str, str], bool]:
        """Return (group, version) → whether it is one of custom resources only."""
        found: dict[tuple[str, str], bool] = {}
        for kind in self._kinds:
            if kind.group != AGGREGATOR_GROUP:
                key = (kind.group, kind.version)
                found[key] = found.get(key, True) and kind.structure is not None
        return found

    async def _try_to_ensure(self, name: str, wanted: JsonObject) -> ApiError | None:
        try:
            await self._ensure(name, wanted)
        except ApiError as error:
            return error
        return None

    async def _ensure(self, name: str, wanted: JsonObject) -> None:
        mode = wanted["metadata"]["labels"][MANAGED]
        if mode == _AT_START and name in self._seen:
            return
        present = self._services.find(name)
        done = True
        if present is None:
            done = await self._send("create", name, wanted)
        elif self._mode_of(name):
            labels = {**(present["metadata"].get("labels") or {}), MANAGED: mode}
            if present.get("spec") != wanted["spec"] or labels != present["metadata"].get("labels"):
                body: JsonObject = deep_copy(present)
                body["metadata"]["labels"] = labels
                body["spec"] = wanted["spec"]
                done = await self._send("update", name, body)
        if done:
            self._seen.add(name)

    async def _send(self, verb: str, name: str, body: JsonObject | None = None) -> bool:
        """Return whether it was done; if not, somebody else was faster and we look again. Raises ApiError."""
        try:
            await self._dispatcher.dispatch(
                ApiRequest(
                    verb=verb,
                    resource=API_SERVICES,
                    user=API_SERVER,
                    user_agent="kube-apiserver",
                    name="" if verb == "create" else name,
                    body=body,
                )
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            await asyncio.sleep(0)  # our view is behind by a turn of the loop
            self._changed.set()
            return False
        return True


def _document(group: str, version: str, mode: str) -> JsonObject:
    spec: JsonObject = {"group": group} if group else {}
    spec |= {
        "version": version,
        "groupPriorityMinimum": group_priority(group),
        "versionPriority": version_priority(group, version),
    }
    return {
        "kind": "APIService",
        "apiVersion": API_SERVICES.api_version,
        "metadata": {"name": f"{version}.{group}", "labels": {MANAGED: mode}},
        "spec": spec,
    }
