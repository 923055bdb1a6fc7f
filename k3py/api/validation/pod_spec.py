"""Pod specs, of pods and of templates. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35 (api-machinery.md §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, required
from k3py.api.names import find_label_faults, find_qualified_name_faults, find_subdomain_faults
from k3py.api.validation.affinity import validate_affinity, validate_spread, validate_tolerations
from k3py.api.validation.container import (
    PodFacts,
    validate_containers,
    validate_ephemeral_containers,
    validate_init_containers,
)
from k3py.api.validation.dns import validate_dns, validate_names
from k3py.api.validation.resources import is_huge_page, validate_pod_resources, validate_resources
from k3py.api.validation.scalar import check_choice, check_known, check_range, check_text
from k3py.api.validation.security import validate_host_users, validate_os, validate_pod_security_context
from k3py.api.validation.selector import validate_annotations, validate_labels
from k3py.api.validation.volume import validate_volumes

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_RESTART: Final = ("Always", "OnFailure", "Never")
_PREEMPTION: Final = ("Never", "PreemptLowerPriority")
_MOST_DEADLINE_S: Final = 2**31 - 1
_DEFAULT_GRACE_S: Final = 30
CONTAINER_FIELDS: Final = ("initContainers", "containers", "ephemeralContainers")


def validate_pod_spec(spec: JsonObject, path: str) -> list[FieldError]:
    """Check a pod spec that defaults were filled into."""
    containers = spec.get("containers") or ()
    init = spec.get("initContainers") or ()
    volumes = spec.get("volumes") or ()
    claims, errors = _validate_claims(spec.get("resourceClaims") or (), f"{path}.resourceClaims")
    grace = spec.get("terminationGracePeriodSeconds")
    facts = PodFacts(
        volumes={one.get("name", ""): one for one in volumes},
        claims=claims,
        grace_s=_DEFAULT_GRACE_S if grace is None else grace,
        restart_policy=spec.get("restartPolicy", "Always"),
        host_users=spec.get("hostUsers") is not False,
        host_network=bool(spec.get("hostNetwork")),
    )
    errors += validate_volumes(volumes, f"{path}.volumes")
    errors += validate_containers(containers, f"{path}.containers", facts)
    errors += validate_init_containers(init, f"{path}.initContainers", facts, containers)
    errors += validate_ephemeral_containers(
        spec.get("ephemeralContainers") or (), f"{path}.ephemeralContainers", facts, [*containers, *init]
    )
    errors += validate_pod_resources(spec, f"{path}.resources", claims)
    errors += check_choice(spec.get("restartPolicy", "Always"), f"{path}.restartPolicy", _RESTART)
    errors += validate_dns(spec, path)
    errors += validate_names(spec, path)
    errors += validate_pod_security_context(spec, path)
    errors += validate_host_users(spec, path)
    if spec.get("os") is not None:
        errors += validate_os(spec, path)
    errors += _validate_affinity(spec, path)
    deadline = spec.get("activeDeadlineSeconds")
    errors += check_range(deadline, f"{path}.activeDeadlineSeconds", 1, _MOST_DEADLINE_S)
    return errors + _validate_placement(spec, path) + _validate_rest(spec, path)


def _validate_affinity(spec: JsonObject, path: str) -> list[FieldError]:
    errors = validate_labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    if spec.get("affinity") is not None:
        errors += validate_affinity(spec["affinity"], f"{path}.affinity")
    return errors


def _validate_placement(spec: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        where = f"{path}.readinessGates[{index}].conditionType"
        errors += check_text(gate.get("conditionType", ""), where, find_qualified_name_faults)
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        where, name = f"{path}.schedulingGates[{index}]", gate.get("name", "")
        errors += check_text(name, where, find_qualified_name_faults)
        if name in seen:
            errors.append(duplicate(where, name))
        seen.add(name)
    errors += validate_spread(
        spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints"
    )
    return errors + validate_tolerations(spec.get("tolerations") or (), f"{path}.tolerations")


def _validate_rest(spec: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for field in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if spec.get(field):
            errors += check_text(spec[field], f"{path}.{field}", find_subdomain_faults)
    if spec.get("preemptionPolicy") is not None:
        errors += check_known(spec["preemptionPolicy"], f"{path}.preemptionPolicy", _PREEMPTION)
    if spec.get("overhead") is not None:
        errors += validate_resources({"limits": spec["overhead"]}, f"{path}.overhead")
    return errors


def _validate_claims(claims: JsonValue, path: str) -> tuple[set[str], list[FieldError]]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, claim in enumerate(claims):
        where, name = f"{path}[{index}]", claim.get("name", "")
        if not name:
            errors.append(required(f"{where}.name"))
        elif name in names:
            errors.append(duplicate(f"{where}.name", name))
        else:
            errors += check_text(name, f"{where}.name", find_label_faults)
            names.add(name)
        sources = [
            field
            for field in ("resourceClaimName", "resourceClaimTemplateName")
            if claim.get(field) is not None
        ]
        if len(sources) != 1:
            listed = "`resourceClaimName`, `resourceClaimTemplateName`"
            amount = "at most one of" if sources else "must specify one of:"
            errors.append(invalid_value(where, claim, f"{amount} {listed}"))
        for field in sources:
            errors += check_text(claim[field], f"{where}.{field}", find_subdomain_faults)
    return names, errors


def validate_pod(obj: JsonObject) -> list[FieldError]:
    """Check what a pod, unlike a template, must keep to."""
    spec = obj.get("spec") or {}
    errors = validate_pod_spec(spec, "spec")
    for field in CONTAINER_FIELDS:
        for index, one in enumerate(spec.get(field) or ()):
            image = one.get("image", "")
            if image != image.strip():
                detail = "must not have leading or trailing whitespace"
                errors.append(invalid_value(f"spec.{field}[{index}].image", image, detail))
    sizes = {
        name
        for field in CONTAINER_FIELDS
        for one in spec.get(field) or ()
        for part in ("requests", "limits")
        for name in (one.get("resources") or {}).get(part) or ()
        if is_huge_page(name)
    }
    if len(sizes) > 1:
        errors.append(invalid_value("spec", sorted(sizes), "must use a single hugepage size in a pod spec"))
    return errors


def validate_new_pod(obj: JsonObject) -> list[FieldError]:
    """Check a pod that is to be created."""
    spec = obj.get("spec") or {}
    errors = validate_pod(obj)
    if spec.get("ephemeralContainers"):
        errors.append(forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("schedulingGates") and spec.get("nodeName"):
        detail = "cannot be set until all schedulingGates have been cleared"
        errors.append(forbidden_field("spec.nodeName", detail))
    return errors


def validate_pod_template(template: JsonObject, path: str) -> list[FieldError]:
    """Check a PodTemplateSpec."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    errors = validate_labels(metadata.get("labels"), f"{path}.labels")
    errors += validate_annotations(metadata.get("annotations"), f"{path}.annotations")
    errors += validate_pod_spec(spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        errors.append(forbidden_field(f"{path}.spec.ephemeralContainers", detail))
    return errors
