"""ClusterRoles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import CREATED_AT, NAME
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_path_segment_faults
from k3py.api.validation.rbac import validate_aggregation, validate_rules

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ClusterRoleStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/rbac v1.35."""

    create_on_update = True

    def validate_name(self, name: str) -> list[str]:
        """Any name that fits into a path."""
        return find_path_segment_faults(name)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Every rule says what may be done to what."""
        return validate_rules(obj, namespaced=False) + validate_aggregation(obj)


KIND: Final = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    singular="clusterrole",
    list_kind="ClusterRoleList",
    namespaced=False,
    schema="io.k8s.api.rbac.v1.ClusterRole",
    strategy=ClusterRoleStrategy(),
    columns=(NAME, CREATED_AT),
    storage=StoragePolicy(prefix="clusterroles"),
    storage_version_hash="bYE5ZWDrJ44=",
)
