"""A pod on every matching node."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import (
    AGE,
    NAME,
    column,
    field,
    format_labels,
    format_selector,
    pod_template_columns,
    value_at,
)
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class Strategy(WorkloadStrategy):
    """See the module."""

    empty_status: ClassVar[JsonObject] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }


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
    strategy=Strategy(),
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
        field("Desired", "status.desiredNumberScheduled", 0, kind="integer"),
        field("Current", "status.currentNumberScheduled", 0, kind="integer"),
        field("Ready", "status.numberReady", 0, kind="integer"),
        field("Up-to-date", "status.updatedNumberScheduled", 0, kind="integer"),
        field("Available", "status.numberAvailable", 0, kind="integer"),
        column("Node Selector", lambda obj: format_labels(value_at(obj, "spec.template.spec.nodeSelector"))),
        AGE,
        *pod_template_columns("spec.template", _selector),
    ),
    storage=StoragePolicy(prefix="daemonsets"),
    storage_version_hash="dd7pWHUlMKQ=",
)
