"""Endpoints: the old form of EndpointSlices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class EndpointsStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/endpoint/strategy.go v1.35."""

    create_on_update = True


def _endpoints(obj: JsonObject) -> str:
    found = []
    for subset in obj.get("subsets") or ():
        for address in subset.get("addresses") or ():
            ports = subset.get("ports") or ()
            found += [f"{address['ip']}:{port['port']}" for port in ports] or [address["ip"]]
    shown = ",".join(found[:3])
    return (f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown) or NONE


KIND: Final = Kind(
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    list_kind="EndpointsList",
    short_names=("ep",),
    schema="io.k8s.api.core.v1.Endpoints",
    strategy=EndpointsStrategy(),
    columns=(NAME, column("Endpoints", _endpoints), AGE),
    storage=StoragePolicy(prefix="services/endpoints"),
    storage_version_hash="fWeeMqaN/OA=",
)
