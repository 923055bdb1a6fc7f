"""What the server adds to a new pod. Source: kubernetes/pkg/registry/core/pod/strategy.go PrepareForCreate v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.kinds.core.pod.qos import qos_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonObject

_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_LOCALHOST: Final = "localhost/"
_AFFINITIES: Final = ("podAffinity", "podAntiAffinity")


def first_status(pod: JsonObject, now: str) -> JsonObject:
    """Return the status of a new pod: Pending, its class of service, and that gates hold it."""
    spec = pod.get("spec") or {}
    status: JsonObject = {"phase": "Pending"}
    if spec.get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": now,
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    status["qosClass"] = (pod.get("status") or {}).get("qosClass") or qos_class(spec)
    return status


def merge_label_keys(pod: JsonObject) -> None:
    """Write matchLabelKeys and mismatchLabelKeys, with the pod's own values, into the label selectors next to them."""
    labels = pod["metadata"].get("labels") or {}
    for term in _iter_selecting(pod.get("spec") or {}):
        selector = term.get("labelSelector")
        if selector is None:
            continue
        added = [
            {"key": key, "operator": operator, "values": [labels[key]]}
            for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
            for key in term.get(field) or ()
            if key in labels
        ]
        if added:
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]


def _iter_selecting(spec: JsonObject) -> Iterator[JsonObject]:
    affinity = spec.get("affinity") or {}
    for field in _AFFINITIES:
        terms = affinity.get(field) or {}
        yield from terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for one in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield one.get("podAffinityTerm") or {}
    yield from spec.get("topologySpreadConstraints") or ()


def adopt_apparmor_annotations(pod: JsonObject) -> None:
    """Turn AppArmor's old annotations into fields, where there are none."""
    annotations = pod["metadata"].get("annotations") or {}
    profiles = {
        key.removeprefix(_APPARMOR): value for key, value in annotations.items() if key.startswith(_APPARMOR)
    }
    if not profiles:
        return
    spec = pod.get("spec") or {}
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            profile = _parse_profile(profiles.get(container.get("name"), ""))
            context = container.get("securityContext") or {}
            if profile is not None and context.get("appArmorProfile") is None:
                container["securityContext"] = {**context, "appArmorProfile": profile}


def _parse_profile(text: str) -> JsonObject | None:
    if text == "runtime/default":
        return {"type": "RuntimeDefault"}
    if text == "unconfined":
        return {"type": "Unconfined"}
    if text.startswith(_LOCALHOST):
        return {"type": "Localhost", "localhostProfile": text.removeprefix(_LOCALHOST)}
    return None
