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
        """Secrets are named, nothing else."""
        super().prepare_create(obj, context)
        _reduce_secrets(obj)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The same for updates."""
        super().prepare_update(new, old, context)
        _reduce_secrets(new)


def _reduce_secrets(obj: JsonObject) -> None:
    if obj.get("secrets"):
        obj["secrets"] = [{"name": one.get("name", "")} for one in obj["secrets"]]


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
