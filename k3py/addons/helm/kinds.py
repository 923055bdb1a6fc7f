"""The kinds HelmChart and HelmChartConfig of helm.cattle.io/v1, as K3s has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.addons.definitions import make_definition
from k3py.api.resource import Resource

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

HELM_CHARTS: Final = Resource("helm.cattle.io", "v1", "helmcharts", "HelmChart")
HELM_CHART_CONFIGS: Final = Resource("helm.cattle.io", "v1", "helmchartconfigs", "HelmChartConfig")

_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean"}
_NAMED: Final = {"type": "object", "properties": {"name": _TEXT}}
_POLICY: Final = {"type": "string", "enum": ["abort", "reinstall"]}
_SECRETS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "keys": {"type": "array", "items": _TEXT},
            "ignoreUpdates": _FLAG,
        },
    },
}
_ANYTHING: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definitions() -> tuple[JsonObject, ...]:
    """Return the definitions of both kinds. Fields about job pods are taken and have no effect."""
    texts = (
        "targetNamespace",
        "chart",
        "version",
        "repo",
        "repoCA",
        "valuesContent",
        "helmVersion",
        "jobImage",
    )
    flags = ("createNamespace", "bootstrap", "authPassCredentials", "insecureSkipTLSVerify", "plainHTTP")
    spec: JsonObject = {
        **dict.fromkeys((*texts, "chartContent", "driver"), _TEXT),
        **dict.fromkeys((*flags, "takeOwnership"), _FLAG),
        "timeout": {"type": "string"},
        "failurePolicy": _POLICY,
        "backOffLimit": {"type": "integer"},
        "set": {
            "type": "object",
            "additionalProperties": {"x-kubernetes-int-or-string": True, "nullable": True},
        },
        "valuesSecrets": _SECRETS,
        **dict.fromkeys(("authSecret", "dockerRegistrySecret", "repoCAConfigMap"), _NAMED),
        **dict.fromkeys(("podSecurityContext", "securityContext"), _ANYTHING),
    }
    condition = {
        "type": "object",
        "required": ["type", "status"],
        "properties": dict.fromkeys(("type", "status", "reason", "message", "lastTransitionTime"), _TEXT),
    }
    status: JsonObject = {
        "jobName": _TEXT,
        "configHash": _TEXT,
        "conditions": {"type": "array", "items": condition},
    }
    columns = (
        ("Repo", "string", ".spec.repo"),
        ("Chart", "string", ".spec.chart"),
        ("Version", "string", ".spec.version"),
        ("TargetNamespace", "string", ".spec.targetNamespace"),
        ("Bootstrap", "boolean", ".spec.bootstrap"),
        ("Failed", "string", '.status.conditions[?(@.type=="Failed")].status'),
    )
    config: JsonObject = {"valuesContent": _TEXT, "failurePolicy": _POLICY, "valuesSecrets": _SECRETS}
    return (
        make_definition(HELM_CHARTS, spec=spec, status=status, columns=columns),
        make_definition(HELM_CHART_CONFIGS, spec=config, status={}, has_status=False),
    )
