"""The columns of Services. Source: kubernetes/pkg/printers/internalversion/printers.go printService v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, format_labels, value_at

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _cluster_ip(obj: JsonObject) -> str:
    addresses = value_at(obj, "spec.clusterIPs") or [value_at(obj, "spec.clusterIP", "")]
    return addresses[0] or NONE


def _external_ip(obj: JsonObject) -> str:
    listed = value_at(obj, "spec.externalIPs", ())
    match value_at(obj, "spec.type", "ClusterIP"):
        case "ClusterIP" | "NodePort":
            return ",".join(listed) or NONE
        case "LoadBalancer":
            points = value_at(obj, "status.loadBalancer.ingress", ())
            found = sorted({one.get("ip") or one.get("hostname") or "" for one in points} - {""})
            return ",".join([*found, *listed]) or "<pending>"
        case "ExternalName":
            return str(value_at(obj, "spec.externalName", ""))
    return "<unknown>"


def _ports(obj: JsonObject) -> str:
    return ",".join(_format_port(one) for one in value_at(obj, "spec.ports", ())) or NONE


def _format_port(port: JsonObject) -> str:
    shown = f"{port.get('port')}:{port['nodePort']}" if port.get("nodePort") else str(port.get("port"))
    return f"{shown}/{port.get('protocol', 'TCP')}"


COLUMNS: Final = (
    NAME,
    field_column("Type", "spec.type"),
    column("Cluster-IP", _cluster_ip),
    column("External-IP", _external_ip),
    column("Port(s)", _ports),
    AGE,
    column("Selector", lambda obj: format_labels(value_at(obj, "spec.selector")), wide=True),
)
