"""An address that a Service holds; the name is the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Column, Kind, StoragePolicy
from k3py.api.validation.scalar import IMMUTABLE
from k3py.api.validation.service_range import find_address_faults, validate_address

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class IPAddressStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/networking/ipaddress/strategy.go v1.35."""

    def validate_name(self, name: str) -> list[str]:
        """An address in canonical form."""
        return find_address_faults(name)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check whose it is."""
        return validate_address(obj.get("spec") or {})

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """It stays whose it is."""
        parent = (new.get("spec") or {}).get("parentRef")
        if parent == (old.get("spec") or {}).get("parentRef"):
            return []
        return [invalid_value("spec.parentRef", parent, IMMUTABLE)]


def _parent_of(obj: JsonObject) -> str:
    parent = (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        return NONE
    group = parent.get("group", "")
    resource = f"{parent.get('resource', '')}.{group}" if group else str(parent.get("resource", ""))
    return "/".join(
        one for one in (resource.lower(), parent.get("namespace", ""), parent.get("name", "")) if one
    )


KIND: Final = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    short_names=("ip",),
    namespaced=False,
    schema="io.k8s.api.networking.v1.IPAddress",
    strategy=IPAddressStrategy(),
    # Upstream gives the age without a head over it, and so no column is seen.
    columns=(NAME, column("ParentRef", _parent_of), Column(name="", value=AGE.value)),
    storage=StoragePolicy(prefix="ipaddresses"),
    storage_version_hash="3f/plJFChNE=",
)
