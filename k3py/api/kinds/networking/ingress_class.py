"""Which controller serves an Ingress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, value_at
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class Strategy(BaseStrategy):
    """See the module."""

    has_generation = True


def _parameters(obj: JsonObject) -> str:
    found = value_at(obj, "spec.parameters")
    if not found:
        return NONE
    kind = (
        f"{found.get('kind', '')}.{found['apiGroup']}"
        if found.get("apiGroup") is not None
        else found.get("kind", "")
    )
    return f"{kind}/{found.get('name', '')}"


KIND: Final = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    schema="io.k8s.api.networking.v1.IngressClass",
    strategy=Strategy(),
    columns=(NAME, field_column("Controller", "spec.controller"), column("Parameters", _parameters), AGE),
    storage=StoragePolicy(prefix="ingressclasses"),
    storage_version_hash="l/iqIbDgFyQ=",
)
