"""How much a namespace may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column, value_at
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.quota import check_amounts, validate_quota, validate_quota_change

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ResourceQuotaStrategy(StatusStrategy):
    """See the module."""

    object_on_delete = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check amounts and scopes."""
        return validate_quota(obj.get("spec") or {})

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The scopes stay."""
        return self.validate(new) + validate_quota_change(new.get("spec") or {}, old.get("spec") or {})

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check what is used of what."""
        status = new.get("status") or {}
        return [
            error
            for field in ("hard", "used")
            for error in check_amounts(status.get(field) or {}, f"status.{field}")
        ]


def _listed(obj: JsonObject, *, limits: bool) -> str:
    hard = value_at(obj, "status.hard", {})
    used = value_at(obj, "status.used", {})
    return ", ".join(
        f"{name}: {used.get(name, '0')}/{hard[name]}"
        for name in sorted(hard)
        if name.startswith("limits.") == limits
    )


KIND: Final = Kind(
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    short_names=("quota",),
    schema="io.k8s.api.core.v1.ResourceQuota",
    strategy=ResourceQuotaStrategy(),
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
        column("Request", lambda obj: _listed(obj, limits=False)),
        column("Limit", lambda obj: _listed(obj, limits=True)),
        AGE,
    ),
    storage=StoragePolicy(prefix="resourcequotas"),
    storage_version_hash="8uhSgffRX6w=",
)
