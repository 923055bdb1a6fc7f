"""The devices that drivers offer on a node. Source: k8s.io/dynamic-resource-allocation/structured/internal/pools v0.35."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from k3py.api.node_affinity import term_matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.node_info import NodeInfo


class DeviceId(NamedTuple):
    """Names a device in the cluster."""

    driver: str
    pool: str
    device: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device, the slice that offers it (whose spec tells on which nodes) and whether its whole pool is known."""

    id: DeviceId
    spec: JsonObject
    slice_spec: JsonObject
    is_complete: bool

    def attribute(self, name: str) -> object:
        """Return the value of an attribute; a name without domain is the driver's. None: it has none."""
        attributes = self.spec.get("attributes") or {}
        domain, slash, rest = name.partition("/")
        found = attributes.get(name)
        if found is None and slash and domain == self.id.driver:
            found = attributes.get(rest)
        return None if not found else next(iter(found.items()))


def find_devices(slices: Iterable[JsonObject], node: NodeInfo) -> list[Device]:
    """Return the devices that a node can use, of the newest generation of each pool."""
    pools: dict[tuple[str, str], list[JsonObject]] = {}
    for one in slices:
        spec = one["spec"]
        key = spec["driver"], spec["pool"]["name"]
        known = pools.get(key)
        generation = int(spec["pool"].get("generation") or 0)
        newest = int(known[0]["pool"].get("generation") or 0) if known else -1
        if generation > newest:
            pools[key] = [spec]
        elif generation == newest and known is not None:
            known.append(spec)
    found = []
    for (driver, pool), specs in pools.items():
        is_complete = len(specs) == int(specs[0]["pool"].get("resourceSliceCount") or 1)
        for spec in specs:
            if is_on(spec, node):
                found += [
                    Device(DeviceId(driver, pool, one["name"]), one, spec, is_complete)
                    for one in spec.get("devices") or ()
                ]
    return found


def is_on(spec: JsonObject, node: NodeInfo) -> bool:
    """Say whether a slice's devices can be used from a node."""
    if spec.get("allNodes"):
        return True
    if spec.get("nodeName"):
        return bool(spec["nodeName"] == node.name)
    return selector_matches(spec.get("nodeSelector"), node)


def selector_matches(selector: JsonObject | None, node: NodeInfo) -> bool:
    """Say whether a node selector selects a node; none selects nothing."""
    terms = (selector or {}).get("nodeSelectorTerms") or ()
    return any(term_matches(one, node.node) for one in terms)
