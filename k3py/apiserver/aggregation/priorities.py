"""In which order groups and versions are listed: the priorities of this server's own APIServices.

Source: k8s.io/kubernetes/pkg/controlplane/apiserver/aggregator.go and cmd/kube-apiserver/app/aggregator.go v1.35.
"""

from __future__ import annotations

import re
from typing import Final

_GROUPS: Final = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "admissionregistration.k8s.io": 16700,
    "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "metrics.k8s.io": 100,
}
_VERSIONS: Final = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("resource.k8s.io", "v1"): 21,
    ("metrics.k8s.io", "v1beta1"): 100,
}
_CUSTOM_GROUP: Final = 1000
_CUSTOM_VERSION: Final = 100
_BUILT_IN_VERSION: Final = 15
# The aggregator lists its own group in front of all but the core group, without an APIService.
AGGREGATOR_GROUP: Final = "apiregistration.k8s.io"
_AGGREGATOR: Final = 17_900
_VERSION: Final = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STABILITY: Final = {None: 2, "beta": 1, "alpha": 0}


def group_priority(group: str) -> int:
    """Return the priority of a group that this server serves; higher ones come first."""
    return _AGGREGATOR if group == AGGREGATOR_GROUP else _GROUPS.get(group, _CUSTOM_GROUP)


def version_priority(group: str, version: str) -> int:
    """Return the priority of a version within its group; higher ones come first."""
    return _VERSIONS.get((group, version), _BUILT_IN_VERSION if group in _GROUPS else _CUSTOM_VERSION)


def version_order(version: str) -> tuple[int, int, int, str]:
    """Return a key that sorts versions as Kubernetes prefers them: v2 > v1 > v1beta2 > v1alpha1 > anything else."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, 0, 0, version)
    return (_STABILITY[match[2]], int(match[1]), int(match[3] or 0), "")
