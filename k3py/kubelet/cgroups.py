"""Cgroups of the kubelet: kubepods, its QoS classes and pods; v1 (each hierarchy by itself) and v2. Blocking.

The runtime makes the containers' groups below. A group made in a v1 cpuset hierarchy is useless until cpus and mems are copied into it.

Source: pkg/kubelet/cm/cgroup_manager_linux.go, qos_container_manager_linux.go v1.35.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.kubelet.qos import (
    MAX_SHARES,
    MIN_SHARES,
    PERIOD_US,
    pod_cgroup,
    pod_resources,
    qos_class,
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

ROOT: Final = Path("/sys/fs/cgroup")
_V1: Final = (
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "systemd",
    "net_cls",
    "net_prio",
    "perf_event",
)
_V2_CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids", "hugetlb", "io")


class CgroupTree:
    """Makes and removes groups below one root.

    Args:
        root: the group below which kubepods lies, "" = the mount's root.
        mount: where the cgroup file system is mounted.
    """

    def __init__(self, root: str = "", *, mount: Path = ROOT) -> None:
        self._root = root.rstrip("/")
        self._mount = mount
        self._burstable_shares = 0
        self._unified = (mount / "cgroup.controllers").exists()

    def set_up(self) -> None:
        """Make kubepods and its QoS classes."""
        for group in ("/kubepods", "/kubepods/burstable", "/kubepods/besteffort"):
            self._make(f"{self._root}{group}")
        self._write(f"{self._root}/kubepods/besteffort", {"shares": 2, "quota_us": 0, "memory_bytes": 0})

    def set_up_pod(self, pod: JsonObject) -> str:
        """Make the group of a pod with its limits; return its name for the runtime."""
        group = pod_cgroup(pod, self._root)
        self._make(group)
        self._write(group, pod_resources(pod))
        return group

    def update_pod(self, pod: JsonObject, resources: JsonObject) -> None:
        """Give the group of a pod other limits."""
        self._write(pod_cgroup(pod, self._root), resources, is_update=True)

    def share_out(self, pods: Iterable[JsonObject]) -> None:
        """Give the burstable class the CPU shares that its pods ask for together."""
        burstable = [one for one in pods if qos_class(one) == "Burstable"]
        total = sum(max(0, int(pod_resources(one)["shares"]) - MIN_SHARES) for one in burstable)
        wanted = min(max(MIN_SHARES, total), MAX_SHARES)
        if wanted != self._burstable_shares:
            self._write(
                f"{self._root}/kubepods/burstable", {"shares": wanted, "quota_us": 0, "memory_bytes": 0}
            )
            self._burstable_shares = wanted

    def remove_pod(self, pod: JsonObject) -> None:
        """Remove the group of a pod, leaves first; processes must be gone."""
        uid = pod["metadata"]["uid"]
        self.remove(self.pods().get(uid) or pod_cgroup(pod, self._root))

    def remove(self, group: str) -> None:
        """Remove a group in every hierarchy, leaves first; what is busy stays."""
        for hierarchy in self._hierarchies():
            top = hierarchy / group.lstrip("/")
            if not top.is_dir():
                continue
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError as error:
                    log.debug("cgroup stays", extra={"group": folder, "error": str(error)})

    def pods(self) -> dict[str, str]:
        """Return the groups of pods that exist, by uid."""
        found: dict[str, str] = {}
        first = next(iter(self._hierarchies()), None)
        if first is None:
            return found
        for parent in ("kubepods", "kubepods/burstable", "kubepods/besteffort"):
            for folder in (first / self._root.lstrip("/") / parent).glob("pod*"):
                found[folder.name.removeprefix("pod")] = f"{self._root}/{parent}/{folder.name}"
        return found

    def _hierarchies(self) -> list[Path]:
        if self._unified:
            return [self._mount]
        seen: dict[tuple[int, int], Path] = {}
        for name in _V1:
            path = self._mount / name
            if (path / "cgroup.procs").exists() or (path / "tasks").exists():
                info = path.stat()
                seen.setdefault((info.st_dev, info.st_ino), path)
        return list(seen.values())

    def _make(self, group: str) -> None:
        parts = [one for one in group.split("/") if one]
        for hierarchy in self._hierarchies():
            folder = hierarchy
            for part in parts:
                if self._unified:
                    self._enable(folder)
                child = folder / part
                child.mkdir(mode=0o755, exist_ok=True)
                if (child / "cpuset.cpus").exists() and not self._unified:
                    _copy_cpuset(folder, child)
                folder = child

    def _enable(self, folder: Path) -> None:
        available = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
        enabled = (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
        for name in _V2_CONTROLLERS:
            if name in available and name not in enabled:
                _try_write(folder / "cgroup.subtree_control", f"+{name}")

    def _write(self, group: str, resources: JsonObject, *, is_update: bool = False) -> None:
        relative = group.lstrip("/")
        if self._unified:
            folder = self._mount / relative
            quota = resources["quota_us"]
            _try_write(folder / "cpu.weight", str(weight(resources["shares"])))
            _try_write(folder / "cpu.max", f"{quota or 'max'} {PERIOD_US}")
            _try_write(folder / "memory.max", str(resources["memory_bytes"] or "max"))
            return
        cpu, memory = self._mount / "cpu" / relative, self._mount / "memory" / relative
        _try_write(cpu / "cpu.shares", str(resources["shares"]))
        if resources["quota_us"] or is_update:
            _try_write(cpu / "cpu.cfs_period_us", str(PERIOD_US))
            _try_write(cpu / "cpu.cfs_quota_us", str(resources["quota_us"] or -1))
        if resources["memory_bytes"] or is_update:
            _try_write(memory / "memory.limit_in_bytes", str(resources["memory_bytes"] or -1))


def _copy_cpuset(parent: Path, child: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (child / name).read_text(encoding="ascii").strip():
            _try_write(child / name, (parent / name).read_text(encoding="ascii").strip())


def _try_write(path: Path, text: str) -> None:
    """Write a setting; a controller that is not there is no reason to refuse pods."""
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        log.debug("cgroup setting refused", extra={"path": str(path), "error": str(error)})
