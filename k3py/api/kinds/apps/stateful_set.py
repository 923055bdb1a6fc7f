"""Pods with an identity and volumes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, column, container_columns, value_at
from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.kind import Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.claim import validate_claim_spec
from k3py.api.validation.scalar import check_known, check_text
from k3py.api.validation.workload import (
    check_collisions,
    check_counts,
    check_replica_counts,
    validate_workload,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class StatefulSetStrategy(WorkloadStrategy):
    """See the module."""

    empty_status: ClassVar[JsonObject] = {"replicas": 0, "availableReplicas": 0}

    def validate_name(self, name: str) -> list[str]:
        """A DNS label: pods are named after it."""
        return find_label_faults(name)

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Fields of features that are off are dropped."""
        super().prepare_create(obj, context)
        _drop_gated(obj)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The same for updates."""
        _drop_gated(new)
        super().prepare_update(new, old, context)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Selector, template and claims belong together; numbers are not negative."""
        spec = obj.get("spec") or {}
        policy, path = spec.get("podManagementPolicy", ""), "spec.podManagementPolicy"
        errors: list[FieldError] = []
        if policy not in ("OrderedReady", "Parallel"):
            detail = "must be 'OrderedReady' or 'Parallel'"
            errors.append(invalid_value(path, policy, detail) if policy else required(path))
        errors += _validate_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
        for field, value in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
            where = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            errors += check_known(value, where, ("Delete", "Retain"))
        errors += check_counts(spec, "spec", ("replicas", "minReadySeconds"))
        errors += check_counts(spec.get("ordinals") or {}, "spec.ordinals", ("start",))
        errors += validate_workload(_with_claims(spec), what="statefulset")
        if spec.get("serviceName"):
            errors += check_text(spec["serviceName"], "spec.serviceName", find_subdomain_faults)
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            errors += validate_claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Only what its controller can carry through changes."""
        before, after = (
            {key: value for key, value in (one.get("spec") or {}).items() if key not in _MUTABLE}
            for one in (old, new)
        )
        errors = [forbidden_field("spec", _FROZEN)] if before != after else []
        return errors + self.validate(new)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative, and fit together."""
        status = new.get("status") or {}
        errors = check_counts(status, "status", (*_PARTS, "replicas", "observedGeneration"))
        errors += check_replica_counts(status, _PARTS)
        return errors + check_collisions(status, old.get("status") or {})


_PARTS: Final = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
_MUTABLE: Final = frozenset(
    (
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    )
)
_FROZEN: Final = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def _drop_gated(obj: JsonObject) -> None:
    rolling = ((obj.get("spec") or {}).get("updateStrategy") or {}).get("rollingUpdate") or {}
    rolling.pop("maxUnavailable", None)


def _with_claims(spec: JsonObject) -> JsonObject:
    """Return the spec with the volumes that its claims become."""
    claims = spec.get("volumeClaimTemplates")
    if not claims:
        return spec
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    names = [(one.get("metadata") or {}).get("name", "") for one in claims]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    volumes += [one for one in pod.get("volumes") or () if one.get("name") not in names]
    return {**spec, "template": {**template, "spec": {**pod, "volumes": volumes}}}


def _validate_strategy(strategy: JsonObject, path: str) -> list[FieldError]:
    kind, rolling, where = strategy.get("type", ""), strategy.get("rollingUpdate"), f"{path}.rollingUpdate"
    match kind:
        case "":
            return [required(path)]
        case "OnDelete":
            detail = "only allowed for updateStrategy 'RollingUpdate'"
            return [invalid_value(where, rolling, detail)] if rolling is not None else []
        case "RollingUpdate":
            return check_counts(rolling or {}, where, ("partition",))
    return [invalid_value(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")]


def _ready(obj: JsonObject) -> str:
    return f"{value_at(obj, 'status.readyReplicas', 0)}/{value_at(obj, 'spec.replicas', 0)}"


KIND: Final = Kind(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    short_names=("sts",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.StatefulSet",
    strategy=StatefulSetStrategy(),
    subresources=(
        Subresource(
            name="scale",
            verbs=(
                "get",
                "patch",
                "update",
            ),
            kind="Scale",
            group="autoscaling",
            version="v1",
        ),
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    scale=ScalePaths(),
    columns=(NAME, column("Ready", _ready), AGE, *container_columns("spec.template")),
    storage=StoragePolicy(prefix="statefulsets"),
    storage_version_hash="H+vl74LkKdo=",
)
