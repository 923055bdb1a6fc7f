"""Services: the record, the strategy, what the table shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.kinds.core.service.strategy import ServiceStrategy
from k3py.api.selectors import selector_from_map

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _external(obj: JsonObject) -> str:
    spec = obj.get("spec") or {}
    match spec.get("type", "ClusterIP"):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            given = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
            found = [one.get("ip") or one.get("hostname", "") for one in given] + list(
                spec.get("externalIPs") or ()
            )
            return ",".join(found) or "<pending>"
    return ",".join(spec.get("externalIPs") or ()) or NONE


def _ports(obj: JsonObject) -> str:
    shown = []
    for port in (obj.get("spec") or {}).get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _selector(obj: JsonObject) -> str:
    return str(selector_from_map((obj.get("spec") or {}).get("selector") or {})) or NONE


KIND: Final = Kind(
    version="v1",
    kind="Service",
    plural="services",
    singular="service",
    list_kind="ServiceList",
    short_names=("svc",),
    categories=("all",),
    schema="io.k8s.api.core.v1.Service",
    strategy=ServiceStrategy(),
    subresources=(
        Subresource(
            name="proxy", verbs=("create", "delete", "get", "patch", "update"), kind="ServiceProxyOptions"
        ),
        Subresource(name="status", verbs=("get", "patch", "update")),
    ),
    columns=(
        NAME,
        column("Type", lambda obj: (obj.get("spec") or {}).get("type", "")),
        column("Cluster-IP", lambda obj: ",".join((obj.get("spec") or {}).get("clusterIPs") or ()) or NONE),
        column("External-IP", _external),
        column("Port(s)", _ports),
        AGE,
        column("Selector", _selector, wide=True),
    ),
    selectable_fields={
        "spec.clusterIP": lambda obj: str((obj.get("spec") or {}).get("clusterIP", "")),
        "spec.type": lambda obj: str((obj.get("spec") or {}).get("type", "")),
    },
    storage=StoragePolicy(prefix="services/specs"),
    storage_version_hash="0/CO1lhkEBI=",
)
