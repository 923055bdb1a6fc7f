"""Tells in each FlowSchema's condition Dangling whether its priority level is there.

Source: k8s.io/apiserver/pkg/util/flowcontrol/apf_controller.go v0.35.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.conditions import find_status
from k3py.api.resource import Resource
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.apiserver.flow_control.flow_control import FLOW_CONTROL_GROUP
from k3py.apiserver.interface import ApiRequest, ListResult
from k3py.util import clock
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.apiserver.interface import Dispatcher
    from k3py.jsontypes import JsonObject

    Handle = Callable[[tuple[str, str], JsonObject | None], None]

log = logging.getLogger(__name__)

FLOW_SCHEMAS: Final = Resource(FLOW_CONTROL_GROUP, "v1", "flowschemas", "FlowSchema", namespaced=False)
LEVELS: Final = Resource(
    FLOW_CONTROL_GROUP, "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", namespaced=False
)
_USER: Final = User(name="system:apiserver", groups=(MASTERS, AUTHENTICATED))
_MANAGER: Final = "api-priority-and-fairness-config-consumer-v1"


class DanglingSchemas:
    """Writes the conditions; nothing before `begin`, so that what the start makes is there by then."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._begun = asyncio.Event()
        self._changed = asyncio.Event()

    def follow(self, handlers: Mapping[tuple[str, str], Handle]) -> dict[tuple[str, str], Handle]:
        """Return handlers of both kinds that do what these do and wake this."""

        def waking(handle: Handle) -> Handle:
            def take(key: tuple[str, str], document: JsonObject | None) -> None:
                handle(key, document)
                self._changed.set()

            return take

        return {kind: waking(handle) for kind, handle in handlers.items()}

    async def begin(self) -> None:
        """Write what is missing now, and let `run` go on with that. Raises ApiError."""
        await self._settle()
        self._begun.set()

    async def run(self) -> None:
        """Write after every change, until cancelled."""
        await self._begun.wait()
        backoff = Backoff(first_s=0.5, cap_s=60.0, jitter=0.3)
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._settle()
                backoff.reset()
            except ApiError as error:
                log.warning("telling of flow schemas failed", extra={"error": error.message})
                await asyncio.sleep(backoff.next_s())
                self._changed.set()

    async def _settle(self) -> None:
        levels = {one["metadata"]["name"] for one in await self._list(LEVELS)}
        async with TaskScope() as scope:
            for schema in await self._list(FLOW_SCHEMAS):
                level = schema["spec"]["priorityLevelConfiguration"]["name"]
                status = "False" if level in levels else "True"
                if find_status((schema.get("status") or {}).get("conditions"), "Dangling") != status:
                    name = schema["metadata"]["name"]
                    _ = scope.spawn(self._write(name, level, status), name=f"dangling-{name}")

    async def _list(self, resource: Resource) -> list[JsonObject]:
        try:
            result = await self._dispatcher.dispatch(
                ApiRequest(verb="list", resource=resource, user=_USER, user_agent="kube-apiserver")
            )
        except ApiError as error:
            if error.code != 404:
                raise
            return []  # a server with fewer kinds
        if not isinstance(result, ListResult):
            raise TypeError("a list is answered with a list")
        return [view.parsed for view in result.page.items]

    async def _write(self, name: str, level: str, status: str) -> None:
        there = "and it exists" if status == "False" else "but there is no such object"
        condition = {
            "type": "Dangling",
            "status": status,
            "reason": "Found" if status == "False" else "NotFound",
            "message": f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" {there}',
            "lastTransitionTime": format_time(clock.now()),
        }
        document = {
            "kind": "FlowSchema",
            "apiVersion": FLOW_SCHEMAS.api_version,
            "metadata": {"name": name},
            "status": {"conditions": [condition]},
        }
        try:
            await self._dispatcher.dispatch(
                ApiRequest(
                    verb="patch",
                    resource=FLOW_SCHEMAS,
                    user=_USER,
                    user_agent="kube-apiserver",
                    name=name,
                    subresource="status",
                    body=document,
                    patch_type="application/apply-patch+yaml",
                    options={"fieldManager": _MANAGER, "force": "true"},
                )
            )
        except ApiError as error:
            if error.code != 404:  # it is gone
                raise
