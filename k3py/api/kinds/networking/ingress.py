"""HTTP routes into the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, format_list, value_at
from k3py.api.fielderror import invalid_value
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.ingress import validate_ingress, validate_ingress_status

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class IngressStrategy(WorkloadStrategy):
    """See the module."""

    empty_status: ClassVar[JsonObject] = {"loadBalancer": {}}

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check rules and backends."""
        return validate_ingress(obj.get("spec") or {}) + _validate_class(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check rules and backends; a class said twice is let through where it is old."""
        return validate_ingress(new.get("spec") or {})

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check what load balancers report."""
        return validate_ingress_status(new.get("status") or {})


def _validate_class(obj: JsonObject) -> list[FieldError]:
    name = (obj["metadata"].get("annotations") or {}).get(_ANNOTATION)
    if name is None or (obj.get("spec") or {}).get("ingressClassName") is None:
        return []
    return [
        invalid_value(f"annotations.{_ANNOTATION}", name, "can not be set when the class field is also set")
    ]


_ANNOTATION: Final = "kubernetes.io/ingress.class"


def _hosts(obj: JsonObject) -> str:
    rules = value_at(obj, "spec.rules", ())
    hosts = [one["host"] for one in rules[:_MOST_SHOWN] if one.get("host")]
    if not hosts:
        return "*"
    return format_list(hosts, most=_MOST_SHOWN, count=len(rules))


def _address(obj: JsonObject) -> str:
    points = value_at(obj, "status.loadBalancer.ingress", ())
    return ",".join(sorted({one.get("ip") or one.get("hostname") for one in points} - {None}))


_MOST_SHOWN: Final = 3


KIND: Final = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    short_names=("ing",),
    schema="io.k8s.api.networking.v1.Ingress",
    strategy=IngressStrategy(),
    subresources=(
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    columns=(
        NAME,
        field_column("Class", "spec.ingressClassName", NONE),
        column("Hosts", _hosts),
        column("Address", _address),
        column("Ports", lambda obj: "80, 443" if value_at(obj, "spec.tls") else "80"),
        AGE,
    ),
    storage=StoragePolicy(prefix="ingress"),
    storage_version_hash="39NQlfNR+bo=",
)
