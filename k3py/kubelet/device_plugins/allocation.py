"""Which devices a container gets. Pure.

Source: pkg/kubelet/cm/devicemanager/manager.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.errors import K3pyError
from k3py.kubelet.amounts import whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from k3py.jsontypes import JsonObject


class DevicesUnavailable(K3pyError):
    """A pod cannot have the devices that it asks for; it fails as UnexpectedAdmissionError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Devices of one resource that one container has, and what its plugin said to do for them."""

    uid: str
    container: str
    resource: str
    devices: frozenset[str]
    response: JsonObject


@dataclass(slots=True)
class Reuse:
    """Devices of init containers that have ended: the containers behind them may have these."""

    devices: dict[str, set[str]] = field(default_factory=dict)

    def offer(self, resource: str, devices: Iterable[str]) -> None:
        """Let later containers have devices."""
        self.devices.setdefault(resource, set()).update(devices)

    def take(self, resource: str, devices: Iterable[str]) -> None:
        """A container that goes on has them."""
        self.devices.get(resource, set()).difference_update(devices)


def wanted_devices(container: JsonObject, resources: Collection[str]) -> dict[str, int]:
    """Return how many devices of the plugins' resources a container asks for."""
    limits: Mapping[str, str] = (container.get("resources") or {}).get("limits") or {}
    found = {name: whole(limits[name]) for name in limits if name in resources}
    return {name: amount for name, amount in found.items() if amount > 0}


def choose_devices(
    resource: str, amount: int, healthy: Collection[str], used: Collection[str], reusable: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return (must, may): devices that an init container left come first, then any that is free.

    Raises:
        DevicesUnavailable: there are not enough.
    """
    must = sorted(one for one in reusable if one in healthy)[:amount]
    may = sorted(one for one in healthy if one not in used and one not in must)
    if len(must) + len(may) < amount:
        raise DevicesUnavailable(
            f"Allocate failed due to requested number of devices unavailable for {resource}. "
            f"Requested: {amount}, Available: {len(must) + len(may)}, which is unexpected"
        )
    return must, may
