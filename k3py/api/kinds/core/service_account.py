"""Service accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy, Subresource

if TYPE_CHECKING:
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class ServiceAccountStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/serviceaccount/strategy.go v1.35."""

    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Token secrets are not listed for new accounts."""
        super().prepare_create(obj, context)
        obj.pop("secrets", None)


KIND: Final = Kind(
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    singular="serviceaccount",
    list_kind="ServiceAccountList",
    short_names=("sa",),
    schema="io.k8s.api.core.v1.ServiceAccount",
    subresources=(
        Subresource(
            name="token", verbs=("create",), kind="TokenRequest", group="authentication.k8s.io", version="v1"
        ),
    ),
    strategy=ServiceAccountStrategy(),
    columns=(NAME, AGE),
    storage=StoragePolicy(prefix="serviceaccounts"),
    storage_version_hash="pbx9ZvyFpBE=",
)
