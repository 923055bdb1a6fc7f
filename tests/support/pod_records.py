"""Builders of what a runtime has of a pod, for tests of plans and statuses."""

from __future__ import annotations

from typing import Any

from k3py.kubelet.runtime_state import ContainerRecord, PodRecord, SandboxRecord, record_pod

NOW_S = 1_000_000.0


def ran(
    name: str, code: int = 0, *, attempt: int = 0, ago_s: float = 1.0, sandbox: str = "s0", **extra: Any
) -> ContainerRecord:
    """Return a container that ended `ago_s` seconds before NOW_S."""
    end_ns = int((NOW_S - ago_s) * 1e9)
    return ContainerRecord(
        id=f"{name}-{attempt}",
        name=name,
        sandbox_id=sandbox,
        attempt=attempt,
        state="exited",
        created_ns=end_ns - 2,
        started_ns=end_ns - 1,
        finished_ns=end_ns,
        exit_code=code,
        **extra,
    )


def runs(name: str, *, attempt: int = 0, sandbox: str = "s0", **extra: Any) -> ContainerRecord:
    """Return a container that runs."""
    return ContainerRecord(
        id=f"{name}-{attempt}",
        name=name,
        sandbox_id=sandbox,
        attempt=attempt,
        created_ns=1,
        started_ns=2,
        **extra,
    )


def record(
    *containers: ContainerRecord, ready: bool = True, sandbox: bool = True, attempt: int = 0
) -> PodRecord:
    """Return a pod's record with one sandbox s0."""
    sandboxes = (
        [SandboxRecord(id="s0", ready=ready, attempt=attempt, ips=("10.42.0.5",) if ready else ())]
        if sandbox
        else []
    )
    return record_pod(sandboxes, containers)
