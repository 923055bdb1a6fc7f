"""What the runtime has of one pod, as small records: the plan and the status are computed from this and the Pod document.

Built from CRI documents by `record_*`; times are nanoseconds since the epoch as CRI gives them, 0 = never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from k3py.kubelet.labels import CONTAINER_NAME, HASH, MESSAGE_PATH, MESSAGE_POLICY, RESTART_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

State = Literal["created", "running", "exited", "unknown"]

_STATES: Final[dict[str, State]] = {
    "CONTAINER_CREATED": "created",
    "CONTAINER_RUNNING": "running",
    "CONTAINER_EXITED": "exited",
    "CONTAINER_UNKNOWN": "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """One container of the runtime; `attempt` is its restart count."""

    id: str
    name: str
    sandbox_id: str = ""
    attempt: int = 0
    state: State = "running"
    created_ns: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_ref: str = ""
    hash: str = ""
    log_path: str = ""
    message_path: str = ""
    message_policy: str = "File"
    message_file: str = ""
    resources: JsonObject = field(default_factory=dict, hash=False)
    user: JsonObject | None = field(default=None, hash=False)

    @property
    def running(self) -> bool:
        """Say whether its process runs."""
        return self.state == "running"

    @property
    def finished_s(self) -> float:
        """Return when it ended, in seconds since the epoch."""
        return self.finished_ns / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRecord:
    """One sandbox of the runtime; `ips` is empty on the host network and once it is stopped."""

    id: str
    ready: bool = True
    created_ns: int = 0
    attempt: int = 0
    ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PodRecord:
    """All of one pod, newest first."""

    sandboxes: tuple[SandboxRecord, ...] = ()
    containers: tuple[ContainerRecord, ...] = ()

    @property
    def sandbox(self) -> SandboxRecord | None:
        """Return the newest sandbox."""
        return self.sandboxes[0] if self.sandboxes else None

    def find(self, name: str) -> ContainerRecord | None:
        """Return the newest container of a name."""
        return next((one for one in self.containers if one.name == name), None)

    def find_previous(self, name: str) -> ContainerRecord | None:
        """Return the container before the newest one of a name."""
        found = [one for one in self.containers if one.name == name]
        return found[1] if len(found) > 1 else None

    def running(self) -> tuple[ContainerRecord, ...]:
        """Return the containers that run."""
        return tuple(one for one in self.containers if one.state in ("running", "unknown"))


EMPTY: Final = PodRecord()


def record_pod(sandboxes: Iterable[SandboxRecord], containers: Iterable[ContainerRecord]) -> PodRecord:
    """Put records in order, newest first."""
    return PodRecord(
        tuple(sorted(sandboxes, key=lambda one: (one.attempt, one.created_ns), reverse=True)),
        tuple(sorted(containers, key=lambda one: (one.attempt, one.created_ns), reverse=True)),
    )


def record_sandbox(status: JsonObject) -> SandboxRecord:
    """Read a PodSandboxStatus (or, without addresses, a PodSandbox)."""
    network = status.get("network") or {}
    ips = [network.get("ip", ""), *(one.get("ip", "") for one in network.get("additional_ips") or ())]
    return SandboxRecord(
        id=status["id"],
        ready=status.get("state", "SANDBOX_READY") == "SANDBOX_READY",
        created_ns=int(status.get("created_at", 0)),
        attempt=int((status.get("metadata") or {}).get("attempt", 0)),
        ips=tuple(ip for ip in ips if ip),
    )


def record_container(listed: JsonObject, status: JsonObject) -> ContainerRecord:
    """Read a Container (for its sandbox) and its ContainerStatus."""
    labels = status.get("labels") or listed.get("labels") or {}
    annotations = status.get("annotations") or listed.get("annotations") or {}
    metadata = status.get("metadata") or {}
    attempt = annotations.get(RESTART_COUNT, "")
    path = annotations.get(MESSAGE_PATH, "")
    mounts = status.get("mounts") or ()
    return ContainerRecord(
        id=status["id"],
        name=labels.get(CONTAINER_NAME) or metadata.get("name", ""),
        sandbox_id=listed.get("pod_sandbox_id", ""),
        attempt=int(attempt) if attempt.isdigit() else int(metadata.get("attempt", 0)),
        state=_STATES.get(status.get("state", "CONTAINER_CREATED"), "unknown"),
        created_ns=int(status.get("created_at", 0)),
        started_ns=int(status.get("started_at", 0)),
        finished_ns=int(status.get("finished_at", 0)),
        exit_code=int(status.get("exit_code", 0)),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        image=(status.get("image") or {}).get("image", ""),
        image_ref=status.get("image_ref", ""),
        hash=annotations.get(HASH, ""),
        log_path=status.get("log_path", ""),
        message_path=path,
        message_policy=annotations.get(MESSAGE_POLICY, "File"),
        message_file=next(
            (one["host_path"] for one in mounts if path and one.get("container_path") == path), ""
        ),
        resources=((status.get("resources") or {}).get("linux")) or {},
        user=((status.get("user") or {}).get("linux")) or None,
    )
