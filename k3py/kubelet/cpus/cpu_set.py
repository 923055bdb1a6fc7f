"""Sets of CPUs as the kernel writes them ("0-2,7"), and which CPUs a container is given. Pure.

Source: k8s.io/utils/cpuset; pkg/kubelet/cm/cpumanager/cpu_assignment.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CpuSet = frozenset[int]


def parse_cpu_set(text: str) -> CpuSet:
    """Read a set. Raises ValueError."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        start, end = int(first), int(last if dash else first)
        if end < start or start < 0:
            raise ValueError(f"{part!r} is no range of CPUs")
        found.update(range(start, end + 1))
    return frozenset(found)


def format_cpu_set(cpus: Iterable[int]) -> str:
    """Write a set."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][1] + 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def take(free: CpuSet, amount: int, cores: Mapping[int, tuple[int, int]]) -> CpuSet | None:
    """Return `amount` of the free CPUs, None when there are too few: whole sockets first, then whole cores, then single CPUs.

    cores: (socket, core) by CPU. Of what is taken singly, CPUs of cores that are in use already come first.
    """
    if len(free) < amount:
        return None
    taken: set[int] = set()
    for key in (lambda cpu: cores[cpu][0], lambda cpu: cores[cpu]):
        groups: dict[object, set[int]] = {}
        for cpu in cores:
            groups.setdefault(key(cpu), set()).add(cpu)
        for _, group in sorted(groups.items(), key=lambda one: min(one[1])):
            if group <= free - taken and len(group) <= amount - len(taken):
                taken |= group
    rest = sorted(
        free - taken,
        key=lambda cpu: (sum(cores[one] == cores[cpu] for one in free - taken), cpu),
    )
    return frozenset(taken | set(rest[: amount - len(taken)]))
