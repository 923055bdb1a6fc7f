"""Probes: one task each, results told to the pod's worker.

    startup ──success──► liveness, readiness run          liveness | startup failed: verdict, the worker kills the container
                                                          readiness: the container enters or leaves `ready`

Source: pkg/kubelet/prober/worker.go v1.35 (defaults: delay 0, timeout 1, period 10, success 1, failure 3).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal

from k3py.kubelet.handlers import HandlerFailed, run_exec, run_http_get, run_tcp_socket
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.handlers import Target
    from k3py.kubelet.recording import PodRecorder
    from k3py.kubelet.sync_plan import Verdict
    from k3py.util.supervise import TaskScope

log = logging.getLogger(__name__)

ProbeKind = Literal["startup", "liveness", "readiness"]


async def run_probe(probe: JsonObject, target: Target) -> str:
    """Run a probe once and return its output.

    Raises:
        HandlerFailed: it failed.
    """
    timeout_s = float(probe.get("timeoutSeconds") or 1)
    if "exec" in probe:
        return await run_exec(probe["exec"], target, timeout_s=timeout_s)
    if "httpGet" in probe:
        return await run_http_get(probe["httpGet"], target, timeout_s=timeout_s)
    if "tcpSocket" in probe:
        return await run_tcp_socket(probe["tcpSocket"], target, timeout_s=timeout_s)
    if "grpc" in probe:
        from k3py.kubelet.grpc_health import run_grpc  # noqa: PLC0415 - heavy, and rarely used

        return await run_grpc(probe["grpc"], target, timeout_s=timeout_s)
    raise HandlerFailed("missing probe handler")


class Prober:
    """The probes of one pod's containers.

    Attributes:
        started: ids of containers whose startup is through.
        ready: ids of containers that are ready.
        verdicts: ids of containers that have to be killed, and by which probe.
        results: how often a probe succeeded or failed, by container's name, probe and outcome.
    """

    def __init__(self, scope: TaskScope, wake: Callable[[], None]) -> None:
        self._scope = scope
        self._wake = wake
        self._tasks: dict[tuple[str, ProbeKind], asyncio.Task[None]] = {}
        self._startup: dict[str, asyncio.Event] = {}
        self.started: set[str] = set()
        self.ready: set[str] = set()
        self.verdicts: dict[str, Verdict] = {}
        self.results: dict[tuple[str, ProbeKind, bool], int] = {}

    def watch(self, target: Target, events: PodRecorder, *, was_started: bool, was_ready: bool) -> None:
        """Begin to probe a running container; a second call for the same one does nothing.

        Args:
            target: the container.
            events: where to tell failures.
            was_started: its startup is known to be through (adopted after a restart of the kubelet).
            was_ready: it is known to have been ready.
        """
        identity = target.container_id
        if identity in self._startup:
            return
        through = self._startup[identity] = asyncio.Event()
        if was_started or not target.container.get("startupProbe"):
            through.set()
            self.started.add(identity)
            if was_ready or not target.container.get("readinessProbe"):
                self.ready.add(identity)
        kinds: tuple[ProbeKind, ...] = ("startup", "liveness", "readiness")
        for kind in kinds:
            probe = target.container.get(f"{kind}Probe")
            if probe and not (kind == "startup" and through.is_set()):
                name = f"probe-{kind}-{target.container['name']}"
                self._tasks[identity, kind] = self._scope.spawn(
                    self._probe(kind, probe, target, events), name=name
                )

    def is_watched(self, container_id: str) -> bool:
        """Say whether `watch` was called for a container."""
        return container_id in self._startup

    def forget(self, running: set[str]) -> None:
        """End the probes of all containers that do not run any more."""
        for identity in [one for one in self._startup if one not in running]:
            del self._startup[identity]
            self.started.discard(identity)
            self.ready.discard(identity)
            self.verdicts.pop(identity, None)
        for key in [one for one in self._tasks if one[0] not in running]:
            self._tasks.pop(key).cancel()

    def stop_verdicts(self) -> None:
        """End liveness and startup probes: the pod is being terminated, only readiness still matters."""
        for key in [one for one in self._tasks if one[1] != "readiness"]:
            self._tasks.pop(key).cancel()
        self.verdicts.clear()

    async def _probe(self, kind: ProbeKind, probe: JsonObject, target: Target, events: PodRecorder) -> None:
        identity = target.container_id
        through = self._startup[identity]
        began_s = clock.monotonic_s()
        if kind != "startup":
            await through.wait()
        await asyncio.sleep(
            max(0.0, began_s + float(probe.get("initialDelaySeconds") or 0) - clock.monotonic_s())
        )
        period_s = float(probe.get("periodSeconds") or 10)
        needed = {
            True: int(probe.get("successThreshold") or 1),
            False: int(probe.get("failureThreshold") or 3),
        }
        last: bool | None = None
        in_row = 0
        while True:
            good, output = await self._try(probe, target)
            outcome = (target.container["name"], kind, good)
            self.results[outcome] = self.results.get(outcome, 0) + 1
            in_row = in_row + 1 if good is last else 1
            last = good
            if not good:
                message = f"{kind.capitalize()} probe failed: {output}"
                events.warning("Unhealthy", message[:1024], target.container["name"])
            if in_row >= needed[good] and self._conclude(kind, identity, target.container, good=good):
                return
            await asyncio.sleep(period_s)

    async def _try(self, probe: JsonObject, target: Target) -> tuple[bool, str]:
        try:
            return True, await run_probe(probe, target)
        except HandlerFailed as error:
            return False, str(error)

    def _conclude(self, kind: ProbeKind, identity: str, container: JsonObject, *, good: bool) -> bool:
        """Act on a result that reached its threshold; say whether the probe is over."""
        if kind == "readiness":
            if good is not (identity in self.ready):
                if good:
                    self.ready.add(identity)
                else:
                    self.ready.discard(identity)
                self._wake()
            return False
        if not good:
            self.verdicts[identity] = kind
            self._wake()
            return True
        if kind == "startup":
            self._startup[identity].set()
            self.started.add(identity)
            if not container.get("readinessProbe"):
                self.ready.add(identity)
            self._wake()
            return True
        return False
