"""A pod on every matching node."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import (
    AGE,
    NAME,
    column,
    field_column,
    format_labels,
    format_selector,
    pod_template_columns,
    value_at,
)
from k3py.api.fielderror import invalid_value, not_supported, required
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.selectors import SelectorError, selector_from_object
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.workload import (
    check_at_most_all,
    check_collisions,
    check_counts,
    check_selector,
    check_selector_kept,
    check_share,
    is_zero,
    labels_of_template,
    validate_template,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class DaemonSetStrategy(WorkloadStrategy):
    """See the module."""

    empty_status: ClassVar[JsonObject] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }

    def default(self, obj: JsonObject) -> None:
        """The annotation is there from the start, so who writes the object owns it."""
        _set_template_generation(obj, _template_generation(obj))

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """The template has a generation of its own, kept in an annotation."""
        super().prepare_create(obj, context)
        _set_template_generation(obj, max(_template_generation(obj), 1))

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """A change of the template raises its generation."""
        number = _template_generation(old)
        changed = (new.get("spec") or {}).get("template") != (old.get("spec") or {}).get("template")
        super().prepare_update(new, old, context)
        _set_template_generation(new, number + 1 if changed else number)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Selector and template belong together; numbers are not negative."""
        spec = obj.get("spec") or {}
        selector = spec.get("selector")
        errors = check_selector(selector, what="daemonset") if selector is not None else []
        try:
            matches = selector_from_object(selector).matches(labels_of_template(spec))
        except SelectorError:
            matches = True
        errors += validate_template(spec, matches=matches)
        errors += check_counts(spec, "spec", ("minReadySeconds", "revisionHistoryLimit"))
        return errors + _validate_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The selector stays."""
        return self.validate(new) + check_selector_kept(new, old)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative."""
        status = new.get("status") or {}
        errors = check_counts(status, "status", _STATUS_NUMBERS)
        return errors + check_collisions(status, old.get("status") or {})


_GENERATION: Final = "deprecated.daemonset.template.generation"
_STATUS_NUMBERS: Final = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
)


def _template_generation(obj: JsonObject) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(_GENERATION, "")
    return int(text) if text.isdigit() else 0


def _set_template_generation(obj: JsonObject, number: int) -> None:
    obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), _GENERATION: str(number)}


def _validate_strategy(strategy: JsonObject, path: str) -> list[FieldError]:
    kind, rolling, where = strategy.get("type", ""), strategy.get("rollingUpdate"), f"{path}.rollingUpdate"
    if kind == "OnDelete":
        return []
    if kind != "RollingUpdate":
        return [not_supported(path, kind, ("OnDelete", "RollingUpdate"))]
    if rolling is None:
        return [required(where)]
    shares = {field: rolling.get(field, 0) for field in ("maxUnavailable", "maxSurge")}
    errors: list[FieldError] = []
    for field, value in shares.items():
        errors += check_share(value, f"{where}.{field}") + check_at_most_all(value, f"{where}.{field}")
    zero = [is_zero(value) for value in shares.values()]
    if all(zero):
        errors.append(required(f"{where}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    elif not any(zero):
        detail = "may not be set when maxUnavailable is non-zero"
        errors.append(invalid_value(f"{where}.maxSurge", shares["maxSurge"], detail))
    return errors


def _selector(obj: JsonObject) -> str:
    return format_selector(value_at(obj, "spec.selector"))


KIND: Final = Kind(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    short_names=("ds",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.DaemonSet",
    strategy=DaemonSetStrategy(),
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
        field_column("Desired", "status.desiredNumberScheduled", 0, kind="integer"),
        field_column("Current", "status.currentNumberScheduled", 0, kind="integer"),
        field_column("Ready", "status.numberReady", 0, kind="integer"),
        field_column("Up-to-date", "status.updatedNumberScheduled", 0, kind="integer"),
        field_column("Available", "status.numberAvailable", 0, kind="integer"),
        column("Node Selector", lambda obj: format_labels(value_at(obj, "spec.template.spec.nodeSelector"))),
        AGE,
        *pod_template_columns("spec.template", _selector),
    ),
    storage=StoragePolicy(prefix="daemonsets"),
    storage_version_hash="dd7pWHUlMKQ=",
)
