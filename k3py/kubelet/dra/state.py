"""Which claims are prepared, on disk: a kubelet that begins again neither forgets one nor prepares it for nothing. Blocking."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDevice:
    """A device that a driver prepared: for which requests of the claim, which one, and its CDI names."""

    requests: tuple[str, ...]
    pool: str
    device: str
    cdi: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class PreparedClaim:
    """A claim that pods of this node use.

    devices: by driver; None = the driver was about to be asked. pods: uids.
    """

    namespace: str
    name: str
    uid: str
    devices: dict[str, list[PreparedDevice] | None] = field(default_factory=dict)
    pods: set[str] = field(default_factory=set)

    @property
    def is_prepared(self) -> bool:
        """Say whether every driver has done its part."""
        return all(one is not None for one in self.devices.values())

    @property
    def reference(self) -> JsonObject:
        """Return the claim as drivers are told of it."""
        return {"namespace": self.namespace, "uid": self.uid, "name": self.name}


def write_state(path: Path, claims: Sequence[PreparedClaim]) -> None:
    """Write the claims."""
    entries = [
        {
            "namespace": one.namespace,
            "name": one.name,
            "uid": one.uid,
            "pods": sorted(one.pods),
            "drivers": {
                driver: None
                if devices is None
                else [
                    {
                        "requests": list(device.requests),
                        "pool": device.pool,
                        "device": device.device,
                        "cdi": list(device.cdi),
                    }
                    for device in devices
                ]
                for driver, devices in one.devices.items()
            },
        }
        for one in claims
    ]
    write_atomically(path, orjson.dumps({"claims": entries}))


def read_state(path: Path) -> list[PreparedClaim]:
    """Return the claims; none when there is no file, or one that cannot be read (told in the log)."""
    try:
        document = orjson.loads(path.read_bytes())
        return [
            PreparedClaim(
                namespace=one["namespace"],
                name=one["name"],
                uid=one["uid"],
                pods=set(one["pods"]),
                devices={driver: _devices(found) for driver, found in one["drivers"].items()},
            )
            for one in document["claims"]
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("prepared claims are not known", extra={"file": str(path), "error": str(error)})
        return []


def _devices(found: Sequence[JsonObject] | None) -> list[PreparedDevice] | None:
    if found is None:
        return None
    return [
        PreparedDevice(
            requests=tuple(one["requests"]), pool=one["pool"], device=one["device"], cdi=tuple(one["cdi"])
        )
        for one in found
    ]
