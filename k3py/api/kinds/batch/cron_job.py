"""Jobs at set times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import (
    AGE,
    NAME,
    NONE,
    UNSET,
    age_at,
    column,
    field_column,
    format_selector,
    pod_template_columns,
    value_at,
)
from k3py.api.fielderror import invalid_value
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.job import validate_cron_job

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class CronJobStrategy(WorkloadStrategy):
    """Source: kubernetes/pkg/registry/batch/cronjob/strategy.go v1.35."""

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check schedule and template; the names of its Jobs must have room for a suffix."""
        name = obj["metadata"].get("name") or ""
        errors = validate_cron_job(obj.get("spec") or {})
        if len(name) > _LONGEST_NAME:
            detail = f"must be no more than {_LONGEST_NAME} characters"
            errors.append(invalid_value("metadata.name", name, detail))
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check schedule and template."""
        return validate_cron_job(new.get("spec") or {})


_LONGEST_NAME: Final = 52


def _suspend(obj: JsonObject) -> str:
    value = value_at(obj, "spec.suspend")
    return UNSET if value is None else str(value)


def _selector(obj: JsonObject) -> str:
    return format_selector(value_at(obj, "spec.jobTemplate.spec.selector"))


KIND: Final = Kind(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    short_names=("cj",),
    categories=("all",),
    schema="io.k8s.api.batch.v1.CronJob",
    strategy=CronJobStrategy(),
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
        field_column("Schedule", "spec.schedule"),
        field_column("Timezone", "spec.timeZone", NONE),
        column("Suspend", _suspend, kind="boolean"),
        column("Active", lambda obj: len(value_at(obj, "status.active", ())), kind="integer"),
        age_at("Last Schedule", "status.lastScheduleTime"),
        AGE,
        *pod_template_columns("spec.jobTemplate.spec.template", _selector),
    ),
    storage=StoragePolicy(prefix="cronjobs"),
    storage_version_hash="sd5LIXh4Fjs=",
)
