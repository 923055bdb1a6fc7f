"""RoleBindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_path_segment_faults
from k3py.api.rbac import BINDING_COLUMNS
from k3py.api.validation.rbac import validate_binding, validate_same_role

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class RoleBindingStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/rbac v1.35."""

    create_on_update = True

    def validate_name(self, name: str) -> list[str]:
        """Any name that fits into a path."""
        return find_path_segment_faults(name)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """The role and the subjects are well formed."""
        return validate_binding(obj, namespaced=True)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A binding keeps its role."""
        return [*self.validate(new), *validate_same_role(new, old)]


KIND: Final = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    singular="rolebinding",
    list_kind="RoleBindingList",
    schema="io.k8s.api.rbac.v1.RoleBinding",
    strategy=RoleBindingStrategy(),
    columns=BINDING_COLUMNS,
    storage=StoragePolicy(prefix="rolebindings"),
    storage_version_hash="eGsCzGH6b1g=",
)
