"""Mirrors Endpoints that somebody wrote by hand into EndpointSlices, for Services without a selector.

Source: kubernetes/pkg/controller/endpointslicemirroring v1.35.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import make_controller_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

MANAGER: Final = "endpointslicemirroring-controller.k8s.io"
MANAGER_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
SERVICE_LABEL: Final = "kubernetes.io/service-name"
SKIP_LABEL: Final = "endpointslice.kubernetes.io/skip-mirror"
_OTHER_LABEL: Final = "endpoints.kubernetes.io/managed-by"
MAX_ADDRESSES: Final = 1000
MIRROR_INDEX: Final = "mirrored-endpoints"
_NOT_COPIED: Final = (
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
)


def is_mirrored(endpoints: JsonObject) -> bool:
    """Say whether the Endpoints want to be mirrored."""
    metadata = endpoints["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(SKIP_LABEL) == "true" or labels.get(_OTHER_LABEL) == "endpoint-controller":
        return False
    return "control-plane.alpha.kubernetes.io/leader" not in (metadata.get("annotations") or {})


def plan_mirrors(endpoints: JsonObject) -> tuple[list[JsonObject], int, list[str]]:
    """Return the slices that mirror the Endpoints, how many addresses were left out, and addresses that are none."""
    metadata = endpoints["metadata"]
    labels = {**(metadata.get("labels") or {}), MANAGER_LABEL: MANAGER, SERVICE_LABEL: metadata["name"]}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _NOT_COPIED}
    slices: dict[tuple[str, str], JsonObject] = {}
    left_out, wrong = 0, []
    for subset in endpoints.get("subsets") or ():
        ports = [{"name": "", "protocol": "TCP", **one} for one in subset.get("ports") or ()]
        addresses = [(one, True) for one in subset.get("addresses") or ()]
        addresses += [(one, False) for one in subset.get("notReadyAddresses") or ()]
        left_out += max(0, len(addresses) - MAX_ADDRESSES)
        for address, ready in addresses[:MAX_ADDRESSES]:
            try:
                version = ipaddress.ip_address(address["ip"]).version
            except ValueError:
                wrong.append(address["ip"])
                continue
            family = f"IPv{version}"
            one = slices.setdefault(
                (family, str(ports)),
                {
                    "addressType": family,
                    "labels": labels,
                    "annotations": annotations,
                    "ports": ports or None,
                    "endpoints": [],
                },
            )
            one["endpoints"].append(_endpoint(address, ready=ready))
    return list(slices.values()), left_out, wrong


def _endpoint(address: JsonObject, *, ready: bool) -> JsonObject:
    endpoint: JsonObject = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for key in ("hostname", "targetRef", "nodeName"):
        if address.get(key):
            endpoint[key] = address[key]
    return endpoint


def _content(one: JsonObject) -> JsonObject:
    return {
        "addressType": one["addressType"],
        "labels": one["metadata"].get("labels") or {},
        "annotations": one["metadata"].get("annotations") or {},
        "ports": one.get("ports") or None,
        "endpoints": one.get("endpoints") or [],
    }


def _index_mirrors(obj: JsonObject) -> Sequence[str]:
    labels = obj["metadata"].get("labels") or {}
    if labels.get(MANAGER_LABEL) != MANAGER or SERVICE_LABEL not in labels:
        return ()
    return (f"{obj['metadata']['namespace']}/{labels[SERVICE_LABEL]}",)


class EndpointSliceMirroringController:
    """See the module."""

    name = "endpointslice-mirroring-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        services = context.informers.informer(SERVICES)
        endpoints = context.informers.informer(ENDPOINTS)
        slices = context.informers.informer(ENDPOINT_SLICES)
        slices.add_index(MIRROR_INDEX, _index_mirrors)
        self._services, self._endpoints, self._slices = services.lister, endpoints.lister, slices.lister
        self.watches = (
            Watch(services, _key_of_any),
            Watch(endpoints, _key_of_any),
            Watch(slices, _keys_of_slice),
        )

    async def reconcile(self, key: str) -> float | None:
        """Make the mirrors of Endpoints `key` say the same as they do."""
        namespace, name = split_key(key)
        mirrors = [
            one
            for one in self._slices.by_index(MIRROR_INDEX, key)
            if "deletionTimestamp" not in one["metadata"]
        ]
        endpoints = self._endpoints.find(namespace, name)
        service = self._services.find(namespace, name)
        if endpoints is None or not is_mirrored(endpoints):
            for one in mirrors:
                await self._client.delete(ENDPOINT_SLICES, one["metadata"]["name"], namespace=namespace)
            return None
        if service is None or service["spec"].get("selector"):
            return None
        wanted, left_out, wrong = plan_mirrors(endpoints)
        for ip in wrong:
            self._recorder.event(
                endpoints, "Warning", "InvalidIPAddress", f"Skipped {ip} when mirroring to EndpointSlices"
            )
        if left_out:
            message = (
                f"A max of {MAX_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset. "
            )
            message += f"{left_out} addresses were skipped"
            self._recorder.event(endpoints, "Warning", "TooManyAddressesToMirror", message)
        await self._write(endpoints, wanted, mirrors)
        return None

    async def _write(
        self, endpoints: JsonObject, wanted: Sequence[JsonObject], mirrors: Sequence[JsonObject]
    ) -> None:
        namespace = endpoints["metadata"]["namespace"]
        left = sorted(mirrors, key=lambda one: str(one["metadata"]["name"]))
        missing = []
        for content in wanted:
            same = next((one for one in left if _content(one) == content), None)
            if same is not None:
                left.remove(same)
            else:
                missing.append(content)
        for content in missing:
            base = next((one for one in left if one["addressType"] == content["addressType"]), None)
            metadata: JsonObject
            if base is not None:
                left.remove(base)
                metadata = {**base["metadata"]}
            else:
                metadata = {
                    "generateName": f"{endpoints['metadata']['name']}-",
                    "namespace": namespace,
                    "ownerReferences": [make_controller_reference(endpoints, ENDPOINTS)],
                }
            metadata["labels"] = content["labels"]
            metadata["annotations"] = content["annotations"]
            obj: JsonObject = {
                "kind": "EndpointSlice",
                "apiVersion": "discovery.k8s.io/v1",
                "metadata": metadata,
                **{key: content[key] for key in ("addressType", "endpoints", "ports")},
            }
            if base is not None:
                await self._client.update(ENDPOINT_SLICES, obj)
            else:
                await self._client.create(ENDPOINT_SLICES, obj, namespace=namespace)
        for one in left:
            await self._client.delete(ENDPOINT_SLICES, one["metadata"]["name"], namespace=namespace)


def _key_of_any(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    obj = new or old
    return (key_of(obj),) if obj is not None else ()


def _keys_of_slice(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    obj = new or old
    return _index_mirrors(obj) if obj is not None else ()


def build(context: ControllerContext) -> EndpointSliceMirroringController:
    """Make the controller."""
    return EndpointSliceMirroringController(context)
