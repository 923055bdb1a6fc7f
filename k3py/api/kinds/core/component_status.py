"""How the parts of the control plane are: asked for, not stored, and deprecated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import NAME, column
from k3py.api.kind import Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_SHOWN: Final = {"True": "Healthy", "False": "Unhealthy"}


def _healthy(obj: JsonObject) -> JsonObject:
    found = (one for one in obj.get("conditions") or () if one.get("type") == "Healthy")
    return next(found, {})


KIND: Final = Kind(
    version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    short_names=("cs",),
    namespaced=False,
    verbs=("get", "list"),
    schema="io.k8s.api.core.v1.ComponentStatus",
    columns=(
        NAME,
        column("Status", lambda obj: _SHOWN.get(_healthy(obj).get("status", ""), "Unknown")),
        column("Message", lambda obj: _healthy(obj).get("message", "")),
        column("Error", lambda obj: _healthy(obj).get("error", "")),
    ),
    storage=StoragePolicy(prefix="componentstatuses"),
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
)
