"""Who has which CPUs: containers of Guaranteed pods that ask for whole CPUs have theirs alone, all others share the rest.

What is given is on disk (cpu_manager_state, as upstream writes it), so that a kubelet that begins again gives none away twice.

Source: pkg/kubelet/cm/cpumanager/{policy_static,state/state_checkpoint}.go v1.35.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from k3py.kubelet.amounts import cpu_millis
from k3py.kubelet.cpus.cpu_set import CpuSet, format_cpu_set, parse_cpu_set, take
from k3py.kubelet.device_plugins.allocation import DevicesUnavailable
from k3py.kubelet.pod import containers, init_containers, is_sidecar
from k3py.kubelet.qos import qos_class
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

STATE: Final = "cpu_manager_state"
_SYSTEM: Final = Path("/sys/devices/system/cpu")


class CpuManager:
    """See the module.

    Args:
        file: where the state lies.
        cores: (socket, core) by CPU.
        reserved: CPUs that are given to nobody alone.
        changed: called when what is shared changed.
    """

    def __init__(
        self,
        file: Path,
        cores: Mapping[int, tuple[int, int]],
        reserved: CpuSet,
        changed: Callable[[], None],
    ) -> None:
        self._file = file
        self._cores = cores
        self._reserved = reserved
        self._changed = changed
        self._given: dict[tuple[str, str], CpuSet] = {}
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what is given; before any pod is looked at."""
        self._given = await asyncio.to_thread(_read, self._file, frozenset(self._cores))

    @property
    def shared(self) -> CpuSet:
        """Return the CPUs of containers that have none of their own."""
        return frozenset(self._cores) - frozenset[int]().union(*self._given.values())

    @property
    def allocatable(self) -> CpuSet:
        """Return the CPUs that may be given."""
        return frozenset(self._cores) - self._reserved

    def exclusive(self, uid: str, container: str) -> CpuSet:
        """Return a container's own CPUs; empty: it shares."""
        return self._given.get((uid, container), frozenset())

    def cpus_of(self, uid: str, container: str) -> str:
        """Return where a container runs, as the kernel writes it."""
        return format_cpu_set(self.exclusive(uid, container) or self.shared)

    async def allocate(self, pod: JsonObject) -> None:
        """Give a pod's containers their CPUs; what they have, they keep.

        Raises:
            DevicesUnavailable: there are too few.
        """
        every = [*init_containers(pod), *containers(pod)]
        if not any(wanted_cpus(pod, one) for one in every):
            return
        async with self._changing:
            before = dict(self._given)
            reusable: set[int] = set()
            try:
                for container in every:
                    self._allocate(pod, container, reusable)
            except DevicesUnavailable:
                self._given = before
                raise
            if self._given != before:
                await asyncio.to_thread(self._save)
                self._changed()

    def _allocate(self, pod: JsonObject, container: JsonObject, reusable: set[int]) -> None:
        key, amount = (pod["metadata"]["uid"], container["name"]), wanted_cpus(pod, container)
        if not amount:
            return
        if key not in self._given:
            free = (self.shared - self._reserved) | reusable
            own = take(frozenset(reusable), min(amount, len(reusable)), self._cores) or frozenset()
            rest = take(free - own, amount - len(own), self._cores)
            if rest is None:
                raise DevicesUnavailable(
                    f"Allocate failed due to not enough cpus available to satisfy request: requested={amount}, "
                    f"available={len(free)}, which is unexpected"
                )
            self._given[key] = own | rest
        ends = container in init_containers(pod) and not is_sidecar(container)
        # What an init container had, those behind it may have; what they take, nobody else may.
        (reusable.update if ends else reusable.difference_update)(self._given[key])

    async def release(self, uid: str) -> None:
        """Take back what a pod has."""
        async with self._changing:
            keys = [one for one in self._given if one[0] == uid]
            for key in keys:
                del self._given[key]
            if keys:
                await asyncio.to_thread(self._save)
                self._changed()

    async def keep_only(self, uids: frozenset[str]) -> None:
        """Take back what pods have that are here no more."""
        for uid in {one[0] for one in self._given} - uids:
            await self.release(uid)

    def _save(self) -> None:
        entries: dict[str, dict[str, str]] = {}
        for (uid, container), cpus in self._given.items():
            entries.setdefault(uid, {})[container] = format_cpu_set(cpus)
        document = {"policyName": "static", "defaultCpuSet": format_cpu_set(self.shared), "entries": entries}
        write_atomically(
            self._file, orjson.dumps({**document, "checksum": zlib.crc32(orjson.dumps(document))})
        )


def wanted_cpus(pod: JsonObject, container: JsonObject) -> int:
    """Return how many CPUs a container has to have alone: whole ones, of a Guaranteed pod."""
    limits = (container.get("resources") or {}).get("limits") or {}
    millis = cpu_millis(limits.get("cpu", "0"))
    return millis // 1000 if millis % 1000 == 0 and millis and qos_class(pod) == "Guaranteed" else 0


def read_cores(system: Path = _SYSTEM) -> dict[int, tuple[int, int]]:
    """Return (socket, core) of the machine's CPUs. Blocking."""
    found = {}
    for cpu in parse_cpu_set((system / "online").read_text(encoding="ascii")):
        topology = system / f"cpu{cpu}" / "topology"
        try:
            socket = int((topology / "physical_package_id").read_text(encoding="ascii"))
            core = int((topology / "core_id").read_text(encoding="ascii"))
        except (OSError, ValueError):
            socket, core = 0, cpu
        found[cpu] = (socket, core)
    return found


def _read(file: Path, cpus: CpuSet) -> dict[tuple[str, str], CpuSet]:
    try:
        document = orjson.loads(file.read_bytes())
        if document["policyName"] != "static":
            return {}
        found = {
            (uid, container): parse_cpu_set(text)
            for uid, entry in (document.get("entries") or {}).items()
            for container, text in entry.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning(
            "CPUs of running containers are not known", extra={"file": str(file), "error": str(error)}
        )
        return {}
    return {key: own for key, own in found.items() if own <= cpus}
