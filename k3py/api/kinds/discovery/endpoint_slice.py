"""EndpointSlices: addresses behind a Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.fielderror import FieldError, duplicate, invalid_value, not_supported, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class EndpointSliceStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/discovery/endpointslice/strategy.go v1.35. Labels count for the generation, too."""

    has_generation = True

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """A change of labels alone raises the generation."""
        super().prepare_update(new, old, context)
        before = old["metadata"].get("generation", 0)
        if new["metadata"]["generation"] == before and new["metadata"].get("labels") != old["metadata"].get(
            "labels"
        ):
            new["metadata"]["generation"] = before + 1

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """At most 1000 endpoints with one to a hundred addresses of the slice's type."""
        errors: list[FieldError] = []
        if obj.get("addressType") not in _TYPES:
            errors.append(
                not_supported("addressType", obj.get("addressType", ""), _TYPES)
                if obj.get("addressType")
                else required("addressType")
            )
        endpoints = obj.get("endpoints") or ()
        if len(endpoints) > _MOST_ENDPOINTS:
            errors.append(
                FieldError("endpoints", "FieldValueTooMany", f"must have at most {_MOST_ENDPOINTS} items")
            )
        for index, endpoint in enumerate(endpoints):
            if not endpoint.get("addresses"):
                errors.append(required(f"endpoints[{index}].addresses", "must contain at least 1 address"))
        names = set()
        for index, port in enumerate(obj.get("ports") or ()):
            name = port.get("name") or ""
            if name in names:
                errors.append(duplicate(f"ports[{index}].name", name))
            names.add(name)
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The address type stays."""
        errors = self.validate(new)
        if new.get("addressType") != old.get("addressType"):
            errors.append(invalid_value("addressType", new.get("addressType"), "field is immutable"))
        return errors


_TYPES: Final = ("IPv4", "IPv6", "FQDN")
_MOST_ENDPOINTS: Final = 1000


def _shown(values: list[str], missing: str) -> str:
    text = ",".join(values[:3])
    return (f"{text} + {len(values) - 3} more..." if len(values) > 3 else text) or missing


def _ports(obj: JsonObject) -> str:
    return _shown([str(one.get("port") or "*") for one in obj.get("ports") or ()], "<unset>")


def _endpoints(obj: JsonObject) -> str:
    found = [address for one in obj.get("endpoints") or () for address in one.get("addresses") or ()]
    return _shown(found, "<unset>")


KIND: Final = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    singular="endpointslice",
    list_kind="EndpointSliceList",
    schema="io.k8s.api.discovery.v1.EndpointSlice",
    strategy=EndpointSliceStrategy(),
    columns=(
        NAME,
        column("AddressType", lambda obj: obj.get("addressType", "")),
        column("Ports", _ports),
        column("Endpoints", _endpoints),
        AGE,
    ),
    storage=StoragePolicy(prefix="endpointslices"),
    storage_version_hash="qgS0xkrxYAI=",
)
