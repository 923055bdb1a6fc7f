"""Which devices containers have, on disk: a kubelet that begins again gives none away twice. Blocking.

The document is upstream's (kubelet_internal_checkpoint); its checksum is ours, for upstream's is made of Go's way to print structures.

Source: pkg/kubelet/cm/devicemanager/checkpoint v1.35.
"""

from __future__ import annotations

import base64
import logging
import zlib
from typing import TYPE_CHECKING

import orjson

from k3py.kubelet.device_plugins.allocation import Allocation
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from k3py.wire.protobuf_messages import ProtobufMessages

log = logging.getLogger(__name__)

_ANY_NODE = "-1"
_RESPONSE = "v1beta1.ContainerAllocateResponse"


def write_checkpoint(
    path: Path,
    allocations: Iterable[Allocation],
    devices: Mapping[str, Sequence[str]],
    messages: ProtobufMessages,
) -> None:
    """Write allocations and the devices that are registered, by resource."""
    entries = [
        {
            "PodUID": one.uid,
            "ContainerName": one.container,
            "ResourceName": one.resource,
            "DeviceIDs": {_ANY_NODE: sorted(one.devices)},
            "AllocResp": base64.b64encode(messages.encode(_RESPONSE, one.response)).decode(),
        }
        for one in allocations
    ]
    data = {"PodDeviceEntries": entries, "RegisteredDevices": {key: list(devices[key]) for key in devices}}
    document = {"Data": data, "Checksum": zlib.crc32(orjson.dumps(data))}
    write_atomically(path, orjson.dumps(document))


def read_checkpoint(path: Path, messages: ProtobufMessages) -> tuple[list[Allocation], set[str]]:
    """Return allocations and resources; none when there is no file, or one that cannot be read (told in the log)."""
    try:
        document = orjson.loads(path.read_bytes())
        allocations = [
            Allocation(
                uid=one["PodUID"],
                container=one["ContainerName"],
                resource=one["ResourceName"],
                devices=frozenset(name for names in one["DeviceIDs"].values() for name in names),
                response=messages.decode(_RESPONSE, base64.b64decode(one["AllocResp"] or "")),
            )
            for one in document["Data"]["PodDeviceEntries"] or ()
        ]
        return allocations, set(document["Data"]["RegisteredDevices"] or ())
    except FileNotFoundError:
        return [], set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("devices of running pods are not known", extra={"file": str(path), "error": str(error)})
        return [], set()
