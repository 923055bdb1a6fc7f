"""Conditional defaults of networking.k8s.io/v1. Source: k8s.io/kubernetes/pkg/apis/networking/v1/defaults.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _default_network_policy(obj: JsonObject) -> None:
    spec = obj["spec"]
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _default_ingress_class(obj: JsonObject) -> None:
    parameters = obj["spec"].get("parameters")
    if parameters is not None:  # scope is a mandatory pointer: null when absent
        parameters["scope"] = parameters.get("scope") or "Cluster"


HOOKS: Final = {"NetworkPolicy": _default_network_policy, "IngressClass": _default_ingress_class}
