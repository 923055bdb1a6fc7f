"""Conditional defaults of autoscaling. Source: k8s.io/kubernetes/pkg/apis/autoscaling/v2/defaults.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _default_autoscaler(obj: JsonObject) -> None:
    spec = obj["spec"]
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is None:
        return
    up = behavior.setdefault("scaleUp", {})
    up.setdefault("stabilizationWindowSeconds", 0)
    up.setdefault("selectPolicy", "Max")
    if up.get("policies") is None:
        up["policies"] = [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]
    down = behavior.setdefault("scaleDown", {})
    down.setdefault("selectPolicy", "Max")
    if down.get("policies") is None:
        down["policies"] = [{"type": "Percent", "value": 100, "periodSeconds": 15}]


def _default_v1_autoscaler(obj: JsonObject) -> None:
    obj["spec"].setdefault("minReplicas", 1)


HOOKS: Final = {
    "v2.HorizontalPodAutoscaler": _default_autoscaler,
    "v1.HorizontalPodAutoscaler": _default_v1_autoscaler,
}
