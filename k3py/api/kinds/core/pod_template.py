"""A template that others may refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import NAME, column, container_columns, format_labels, value_at
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.pod_spec import validate_pod_template

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class PodTemplateStrategy(BaseStrategy):
    """See the module."""

    object_on_delete = True
    has_generation = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the template."""
        return validate_pod_template(obj.get("template") or {}, "template")


KIND: Final = Kind(
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    schema="io.k8s.api.core.v1.PodTemplate",
    strategy=PodTemplateStrategy(),
    columns=(
        NAME,
        *container_columns("template", wide=False),
        column("Pod Labels", lambda obj: format_labels(value_at(obj, "template.metadata.labels"))),
    ),
    storage=StoragePolicy(prefix="podtemplates"),
    storage_version_hash="LIXB2x4IFpk=",
)
