"""Endpoints: the old form of EndpointSlices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, format_list
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class EndpointsStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/endpoint/strategy.go v1.35."""

    create_on_update = True


def _format(obj: JsonObject) -> str:
    shown: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [one.get("ip", "") for one in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:
            shown += addresses
        for port in ports:
            shown += [_join(address, port.get("port", 0)) for address in addresses]
    if not obj.get("subsets"):
        return NONE
    return format_list(shown[:_MOST_SHOWN], most=_MOST_SHOWN, count=len(shown))


def _join(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


_MOST_SHOWN: Final = 3


KIND: Final = Kind(
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    list_kind="EndpointsList",
    short_names=("ep",),
    schema="io.k8s.api.core.v1.Endpoints",
    strategy=EndpointsStrategy(),
    columns=(NAME, column("Endpoints", _format), AGE),
    storage=StoragePolicy(prefix="services/endpoints"),
    storage_version_hash="fWeeMqaN/OA=",
)
