"""What to do next for a pod: a pure function of its document, what the runtime has, what is under way, and the time.

The pod worker calls `plan_pod` after every event, starts what it says beside what is under way, and sleeps until its deadline. Nothing
here waits or does I/O, so every restart rule can be tested as a table.

    sandbox ──► init containers, one after another (sidecars: until started) ──► containers, in order ──► finished
       ▲                                                                                │
       └──────────────── sandbox died: stop what is left, make a new one ◄──────────────┘

Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go computePodActions, computeInitContainerActions v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from k3py.kubelet.pod import (
    Role,
    container_hash,
    containers,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    restart_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.runtime_state import ContainerRecord, PodRecord


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """Make a sandbox, and stop what is left of earlier ones; `attempt` counts those."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StopSandbox:
    """Stop a sandbox (its containers are dead already) and release its network."""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Pull if needed, create and start a container; `resume_id`: start this one, which was created and never started."""

    name: str
    role: Role
    attempt: int
    resume_id: str = ""


@dataclass(frozen=True, slots=True)
class KillContainer:
    """Stop a running container; `reason`: "" (pod ends), "hash", "resize", "liveness", "startup", "sandbox"."""

    container_id: str
    name: str
    reason: str = ""
    message: str = ""
    grace_s: int | None = None


@dataclass(frozen=True, slots=True)
class EndPod:
    """Everything that had to run has run: stop what is left (sidecars) and the sandbox."""


Action: TypeAlias = CreateSandbox | StopSandbox | StartContainer | KillContainer | EndPod


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run now, as its status tells it."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start now, when to look again (seconds since the epoch, None = on the next event), what to tell meanwhile."""

    actions: tuple[Action, ...] = ()
    deadline_s: float | None = None
    waiting: Mapping[str, Waiting] = field(default_factory=dict)


Verdict: TypeAlias = Literal["liveness", "startup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the plan depends on beside the pod.

    record: what the runtime has.
    busy: container names with an operation under way, and "" when a sandbox operation is.
    started: ids of running containers whose startup probe and postStart hook are done.
    verdicts: ids of containers that a probe condemned.
    backoff_until_s: when a container that ended at a time may start again: (name, finished_s) → seconds since the epoch.
    not_before_s: earliest next try of names whose last start failed before there was a container (image pull, configuration).
    sandbox_not_before_s: earliest next try to make a sandbox.
    restarts: names of containers that get other resources by a restart.
    now_s: seconds since the epoch.
    """

    record: PodRecord
    now_s: float
    backoff_until_s: Callable[[str, float], float]
    busy: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    not_before_s: Mapping[str, float] = field(default_factory=dict)
    sandbox_not_before_s: float = 0.0
    restarts: frozenset[str] = frozenset()


SANDBOX: Final = ""


def plan_pod(pod: JsonObject, situation: Situation) -> Plan:
    """Return the next actions for a pod that shall run. Cost: the number of its containers."""
    return _Planner(pod, situation).plan()


class _Planner:
    def __init__(self, pod: JsonObject, situation: Situation) -> None:
        self._pod = pod
        self._now = situation
        self._record = situation.record
        self._actions: list[Action] = []
        self._waiting: dict[str, Waiting] = {}
        self._deadline_s: float | None = None

    def plan(self) -> Plan:
        if SANDBOX in self._now.busy:
            return self._done()
        sandbox = self._record.sandbox
        if sandbox is None or not sandbox.ready:
            self._renew_sandbox()
            return self._done()
        if self._stop_strays(sandbox.id):
            return self._done()
        for container in ephemeral_containers(self._pod):
            if self._record.find(container["name"]) is None and container["name"] not in self._now.busy:
                self._start(container, "ephemeral", None)
        self._plan_containers(sandbox.id)
        return self._done()

    def _done(self) -> Plan:
        return Plan(tuple(self._actions), self._deadline_s, self._waiting)

    def _wake_at(self, when_s: float) -> None:
        if self._deadline_s is None or when_s < self._deadline_s:
            self._deadline_s = when_s

    def _renew_sandbox(self) -> None:
        """No sandbox, or one that died: end its containers, then make the next one, unless nothing has to run any more."""
        sandbox = self._record.sandbox
        if sandbox is not None and self._stop_all(
            "sandbox", "Pod sandbox changed, it will be killed and re-created."
        ):
            return
        if sandbox is not None and not self._needs_sandbox():
            self._actions.append(EndPod())
            return
        if self._now.sandbox_not_before_s > self._now.now_s:
            self._wake_at(self._now.sandbox_not_before_s)
            return
        self._actions.append(CreateSandbox(0 if sandbox is None else sandbox.attempt + 1))

    def _needs_sandbox(self) -> bool:
        """Say whether a container would still have to run in a new sandbox."""
        if self._now.busy:
            return True
        regular = [self._record.find(one["name"]) for one in containers(self._pod)]
        if restart_policy(self._pod) == "Never" and self._record.containers:
            return any(record is None for record in regular) and not self._init_failed()
        return any(
            should_restart(self._pod, one, record)
            for one, record in zip(containers(self._pod), regular, strict=True)
        )

    def _init_failed(self) -> bool:
        return any(
            record is not None and record.state == "exited" and record.exit_code != 0
            for one in init_containers(self._pod)
            if not is_sidecar(one)
            for record in (self._record.find(one["name"]),)
        )

    def _stop_all(self, reason: str, message: str) -> bool:
        """Kill everything that runs; say whether anything does (or is being worked on)."""
        running = self._record.running()
        for record in running:
            if record.name not in self._now.busy:
                self._actions.append(KillContainer(record.id, record.name, reason, message))
        return bool(running) or bool(self._now.busy)

    def _stop_strays(self, sandbox_id: str) -> bool:
        """Kill containers that run in an older sandbox."""
        found = False
        for record in self._record.running():
            if record.sandbox_id not in ("", sandbox_id):
                found = True
                if record.name not in self._now.busy:
                    self._actions.append(
                        KillContainer(record.id, record.name, "sandbox", "Pod sandbox changed")
                    )
        return found

    def _in(self, sandbox_id: str, name: str) -> ContainerRecord | None:
        """Return the newest container of a name, if it is of this sandbox."""
        record = self._record.find(name)
        return record if record is not None and record.sandbox_id in ("", sandbox_id) else None

    def _plan_containers(self, sandbox_id: str) -> None:
        initialized = any(self._in(sandbox_id, one["name"]) for one in containers(self._pod))
        if not self._plan_init(sandbox_id, initialized=initialized):
            return
        keep = start = 0
        blocked = any(one["name"] in self._now.busy for one in containers(self._pod))
        for container in containers(self._pod):
            name = container["name"]
            record = self._record.find(name)
            here = self._in(sandbox_id, name)
            if name in self._now.busy:
                keep += 1
            elif here is not None and here.running:
                keep += 1
                self._check_running(container, here)
            elif should_restart(self._pod, container, record) or name in self._now.restarts:
                start += 1
                if not blocked and self._start(container, "regular", record):
                    blocked = True
        if not keep and not start:
            self._actions = [
                one for one in self._actions if isinstance(one, StartContainer) and one.role == "ephemeral"
            ]
            self._actions.append(EndPod())

    def _plan_init(self, sandbox_id: str, *, initialized: bool) -> bool:
        """Plan init containers and sidecars in order; say whether the regular containers may start."""
        if initialized and self._all_finished():
            return True
        for container in init_containers(self._pod):
            name = container["name"]
            record = self._record.find(name)
            here = self._in(sandbox_id, name)
            sidecar = is_sidecar(container)
            if initialized and not sidecar:
                continue
            if name in self._now.busy:
                if initialized:
                    continue
                return False
            if here is None or here.state != "exited":
                passed = self._plan_unfinished(container, record, here)
            elif not sidecar and here.exit_code == 0:
                passed = True
            elif not sidecar and restart_policy(self._pod) == "Never":
                self._actions = [EndPod()]
                return False
            else:
                self._start(container, "init", record)
                passed = False
            if not passed and not initialized:
                return False
        return True

    def _plan_unfinished(
        self, container: JsonObject, record: ContainerRecord | None, here: ContainerRecord | None
    ) -> bool:
        """Plan an init container that has not run here, was only created, or runs; say whether the next one may go on."""
        if here is None or not here.running:
            self._start(container, "init", record)
            return False
        self._check_running(container, here)
        return is_sidecar(container) and here.id in self._now.started

    def _all_finished(self) -> bool:
        """Say whether no regular container runs or will run again: then sidecars are not kept alive."""
        return not any(
            one["name"] in self._now.busy
            or ((record := self._record.find(one["name"])) is not None and record.running)
            or should_restart(self._pod, one, record)
            for one in containers(self._pod)
        )

    def _check_running(self, container: JsonObject, record: ContainerRecord) -> None:
        name = container["name"]
        verdict = self._now.verdicts.get(record.id)
        if record.hash and record.hash != container_hash(container):
            message = f"Container {name} definition changed, will be restarted"
            self._actions.append(KillContainer(record.id, name, "hash", message))
        elif name in self._now.restarts:
            message = f"Container {name} resize requires restart"
            self._actions.append(KillContainer(record.id, name, "resize", message))
        elif verdict is not None:
            message = f"Container {name} failed {verdict} probe, will be restarted"
            grace = (container.get(f"{verdict}Probe") or {}).get("terminationGracePeriodSeconds")
            self._actions.append(KillContainer(record.id, name, verdict, message, grace))

    def _start(self, container: JsonObject, role: Role, record: ContainerRecord | None) -> bool:
        """Start a container if its back-off allows; say whether it does."""
        name = container["name"]
        until_s = self._now.not_before_s.get(name, 0.0)
        if until_s > self._now.now_s:
            self._wake_at(until_s)
            return False
        if record is not None and record.state == "exited":
            until_s = self._now.backoff_until_s(name, record.finished_s)
            if until_s > self._now.now_s:
                delay_s = round(until_s - record.finished_s)
                self._wake_at(until_s)
                metadata = self._pod["metadata"]
                self._waiting[name] = Waiting(
                    "CrashLoopBackOff",
                    f"back-off {_duration(delay_s)} restarting failed container={name} "
                    f"pod={metadata['name']}_{metadata['namespace']}({metadata['uid']})",
                )
                return False
        if record is not None and record.state == "created":
            self._actions.append(StartContainer(name, role, record.attempt, record.id))
        else:
            self._actions.append(StartContainer(name, role, 0 if record is None else record.attempt + 1))
        return True


def should_restart(pod: JsonObject, container: JsonObject, record: ContainerRecord | None) -> bool:
    """Say whether a container has to run (again). Source: pkg/kubelet/container/helpers.go ShouldContainerBeRestarted v1.35."""
    if record is None or record.state in ("created", "unknown"):
        return True
    if record.running:
        return False
    policy = container.get("restartPolicy") or restart_policy(pod)
    for rule in container.get("restartPolicyRules") or ():
        if _matches(rule.get("exitCodes") or {}, record.exit_code):
            return str(rule.get("action")) == "Restart"
    if policy == "Never":
        return False
    return policy != "OnFailure" or record.exit_code != 0


def _matches(exit_codes: JsonObject, code: int) -> bool:
    listed = code in (exit_codes.get("values") or ())
    return listed if exit_codes.get("operator") == "In" else not listed


def _duration(seconds: int) -> str:
    """Write seconds as Go does: "10s", "1m20s", "5m0s"."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def plan_kill(
    pod: JsonObject, record: PodRecord, busy: frozenset[str], *, reason: str = ""
) -> tuple[KillContainer | StopSandbox, ...]:
    """Return what ends a pod: containers at once, sidecars in reverse order behind them, then the sandbox.

    Empty with busy names = wait; empty without = everything has stopped.

    Source: pkg/kubelet/kuberuntime/kuberuntime_termination_order.go v1.35.
    """
    sidecars = [one["name"] for one in init_containers(pod) if is_sidecar(one)]
    running = record.running()
    main = [one for one in running if one.name not in sidecars]
    if main or any(name and name not in sidecars for name in busy):
        return tuple(KillContainer(one.id, one.name, reason) for one in main if one.name not in busy)
    for name in reversed(sidecars):
        if name in busy:
            return ()
        found = [one for one in running if one.name == name]
        if found:
            return tuple(KillContainer(one.id, one.name, reason) for one in found)
    if busy:
        return ()
    return tuple(StopSandbox(one.id) for one in record.sandboxes if one.ready)
