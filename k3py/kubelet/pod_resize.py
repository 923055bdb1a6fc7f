"""In-place resize of one pod: which of the resources that its spec asks for it has been given, and which its containers have.

    spec ──fits the node──► allocated (counts for the node, shown as allocatedResources) ──the runtime──► actuated (shown as resources)
      └── does not: PodResizePending, Infeasible or Deferred                └── under way or failed: PodResizeInProgress

After a restart of the kubelet the pod's status says what was given. Times are the caller's.

Source: pkg/kubelet/allocation/allocation_manager.go, pkg/kubelet/kuberuntime/kuberuntime_manager.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.kubelet.admission import find_shortage
from k3py.kubelet.amounts import cpu_millis, whole
from k3py.kubelet.pod import containers, init_containers, is_sidecar, is_static

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.runtime_state import ContainerRecord, PodRecord

PENDING: Final = "PodResizePending"
IN_PROGRESS: Final = "PodResizeInProgress"
INFEASIBLE: Final = "Infeasible"
DEFERRED: Final = "Deferred"
RESIZABLE: Final = ("cpu", "memory")

Amounts = tuple[tuple[str, str, int], ...]


def resizable(pod: JsonObject) -> Iterator[JsonObject]:
    """Yield the containers whose resources may change: sidecars and regular ones."""
    yield from (one for one in init_containers(pod) if is_sidecar(one))
    yield from containers(pod)


def amounts(resources: JsonObject) -> Amounts:
    """Return CPU (thousandths) and memory (bytes) of requests and limits in a form that can be compared."""
    return tuple(
        (part, name, cpu_millis(given[name]) if name == "cpu" else whole(given[name]))
        for part in ("limits", "requests")
        for given in (resources.get(part) or {},)
        for name in RESIZABLE
        if name in given
    )


class PodResize:
    """What one pod has been given; `condition` is (reason, message) of PodResizePending, `error` the last failure to do it."""

    __slots__ = (
        "_actuated",
        "_allocated",
        "_effective",
        "_source",
        "condition",
        "error",
        "generation",
        "retry_s",
    )

    def __init__(self, pod: JsonObject) -> None:
        self._allocated: dict[str, JsonObject] = {}
        self._actuated: dict[str, JsonObject] = {}
        self._source: JsonObject | None = None
        self._effective: JsonObject = pod
        self.condition: tuple[str, str] | None = None
        self.error = ""
        self.generation = 0
        self.retry_s = 0.0
        status = pod.get("status") or {}
        known = {
            one["name"]: one["resources"]
            for part in ("containerStatuses", "initContainerStatuses")
            for one in status.get(part) or ()
            if one.get("resources") and one.get("containerID")
        }
        for container in resizable(pod):
            name, wanted = container["name"], container.get("resources") or {}
            # Where nothing differs, no copy is kept: most pods are never resized.
            if name in known and amounts(known[name]) != amounts(wanted):
                self._allocated[name] = self._actuated[name] = {**wanted, **known[name]}

    # --- what is given ------------------------------------------------------------------------------------------------

    def allocated(self, container: JsonObject) -> JsonObject:
        """Return the resources that a container has been given."""
        found = self._allocated.get(container["name"])
        return (container.get("resources") or {}) if found is None else found

    def actuated(self, container: JsonObject) -> JsonObject:
        """Return the resources that the running container has."""
        found = self._actuated.get(container["name"])
        return self.allocated(container) if found is None else found

    def effective(self, pod: JsonObject) -> JsonObject:
        """Return the pod with what it has been given in place of what it asks for."""
        if not self._allocated:
            return pod
        if self._source is not pod:
            self._source, self._effective = pod, self._with_allocated(pod)
        return self._effective

    def _with_allocated(self, pod: JsonObject) -> JsonObject:
        spec = dict(pod["spec"])
        for part in ("containers", "initContainers"):
            if spec.get(part):
                spec[part] = [
                    {**one, "resources": self._allocated[one["name"]]}
                    if one["name"] in self._allocated
                    else one
                    for one in spec[part]
                ]
        return {**pod, "spec": spec}

    # --- deciding -----------------------------------------------------------------------------------------------------

    def take(self, pod: JsonObject, old: JsonObject) -> None:
        """Note that the pod asks for something else from now on; what it had stays given until `decide`."""
        before = {one["name"]: one for one in resizable(old)}
        for container in resizable(pod):
            name = container["name"]
            known = before.get(name)
            if known is None:
                continue
            given = self.allocated(known)
            if amounts(given) != amounts(container.get("resources") or {}):
                self._allocated.setdefault(name, given)
                self._actuated.setdefault(name, given)
        self._source = None

    def is_wanted(self, pod: JsonObject) -> bool:
        """Say whether the pod asks for something else than it has been given."""
        return bool(self._allocated) and any(
            amounts(self.allocated(one)) != amounts(one.get("resources") or {}) for one in resizable(pod)
        )

    def refuse(self, message: str) -> None:
        """Note that the pod never gets what it asks for here."""
        self.condition = (INFEASIBLE, message)

    def decide(
        self,
        pod: JsonObject,
        record: PodRecord,
        allocatable: Mapping[str, str],
        others: Sequence[JsonObject],
    ) -> bool:
        """Give the pod what it asks for if the node has that; say whether it was given something new.

        record: what runs; the rest has what it is given as soon as it starts.
        others: what the other pods of the node have been given.
        """
        if not self.is_wanted(pod):
            self.condition = None
            return False
        if is_static(pod):
            self.condition = (INFEASIBLE, "In-place resize of static-pods is not supported")
            return False
        if shortage := find_shortage(pod, _resizable_of(allocatable), ()):
            self.condition = (INFEASIBLE, shortage[1].replace("enough resource", "enough capacity"))
            return False
        if shortage := find_shortage(pod, _resizable_of(allocatable), others):
            self.condition = (DEFERRED, shortage[1])
            return False
        for container in resizable(pod):
            name = container["name"]
            running = record.find(name)
            if running is not None and running.running:
                self._actuated.setdefault(name, self.allocated(container))
            else:
                self._actuated.pop(name, None)
            self._allocated[name] = container.get("resources") or {}
        self._source = None
        self.condition, self.error, self.retry_s = None, "", 0.0
        self.generation = int(pod["metadata"].get("generation") or 0)
        return True

    # --- doing --------------------------------------------------------------------------------------------------------

    def changes(self, pod: JsonObject, record: PodRecord) -> list[tuple[JsonObject, ContainerRecord]]:
        """Return running containers that have other resources than they have been given."""
        found = []
        for container in resizable(self.effective(pod)) if self._actuated else ():
            running = record.find(container["name"])
            if running is not None and running.running and self._differs(container):
                found.append((container, running))
        return found

    def restarts(self, pod: JsonObject) -> frozenset[str]:
        """Return the names of containers that get their resources by a restart only."""
        if not self._actuated:
            return frozenset()
        return frozenset(
            one["name"]
            for one in resizable(self.effective(pod))
            if self._differs(one) and _needs_restart(one, self.actuated(one))
        )

    def _differs(self, container: JsonObject) -> bool:
        return amounts(self.actuated(container)) != amounts(container.get("resources") or {})

    def note_actuated(self, container: JsonObject) -> bool:
        """Note that a container has what it was given, and say whether that is new; `container`: of the effective pod."""
        if container["name"] not in self._actuated:
            return False
        is_new = self._differs(container)
        self._actuated[container["name"]] = container.get("resources") or {}
        return is_new

    def is_in_progress(self, pod: JsonObject, record: PodRecord) -> bool:
        """Say whether something that was given has not arrived yet."""
        return bool(self.changes(pod, record)) or bool(self.restarts(pod))

    def is_active(self, pod: JsonObject, record: PodRecord) -> bool:
        """Say whether there is anything to tell."""
        return self.condition is not None or self.is_in_progress(pod, record)

    # --- telling ------------------------------------------------------------------------------------------------------

    def conditions(self, pod: JsonObject, record: PodRecord) -> list[tuple[str, str, str, int]]:
        """Return (type, reason, message, generation) of the conditions that hold now."""
        found = []
        generation = int(pod["metadata"].get("generation") or 0)
        if self.condition is not None:
            found.append((PENDING, *self.condition, generation))
        if self.is_in_progress(pod, record):
            found.append(
                (IN_PROGRESS, "Error" if self.error else "", self.error, self.generation or generation)
            )
        return found

    def describe(self, pod: JsonObject) -> str:
        """Return what Events say of a resize."""
        told: JsonObject = {
            "containers": [
                {"name": one["name"], "resources": one.get("resources") or {}} for one in resizable(pod)
            ],
            "generation": int(pod["metadata"].get("generation") or 0),
        }
        return orjson.dumps(told).decode()


def _needs_restart(container: JsonObject, before: JsonObject) -> bool:
    policies = {one["resourceName"]: one["restartPolicy"] for one in container.get("resizePolicy") or ()}
    old, new = set(amounts(before)), set(amounts(container.get("resources") or {}))
    return any(policies.get(name) == "RestartContainer" for _, name, _ in old ^ new)


def _resizable_of(allocatable: Mapping[str, str]) -> dict[str, str]:
    return {name: allocatable[name] for name in RESIZABLE if name in allocatable}
