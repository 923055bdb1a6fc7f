"""Which nodes a DaemonSet runs on, and the pod that it puts there.

Source: NodeShouldRunDaemonPod in kubernetes/pkg/controller/daemon/daemon_controller.go and daemon/util v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.node_affinity import node_affinity_of, selects
from k3py.api.object import deep_copy
from k3py.api.resource import DAEMON_SETS
from k3py.api.taints import find_untolerated
from k3py.controllers.workloads.pod_control import make_pod
from k3py.controllers.workloads.revisions import REVISION_HASH_LABEL

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

GENERATION_ANNOTATION: Final = "deprecated.daemonset.template.generation"
GENERATION_LABEL: Final = "pod-template-generation"
_TOLERATED: Final = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Placement:
    """run: a pod shall be made there; stay: one that is there may stay."""

    run: bool
    stay: bool


def place(daemon_set: JsonObject, node: JsonObject) -> Placement:
    """Judge a node by its name, labels and taints."""
    spec = daemon_set["spec"]["template"].get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != node["metadata"]["name"]:
        return Placement(run=False, stay=False)
    pod = {"spec": {**spec, "tolerations": daemon_tolerations(spec)}}
    if not selects(pod, node):
        return Placement(run=False, stay=False)
    if find_untolerated(pod, node, ("NoExecute",)) is not None:
        return Placement(run=False, stay=False)
    return Placement(run=find_untolerated(pod, node, ("NoSchedule",)) is None, stay=True)


def daemon_tolerations(spec: JsonObject) -> list[JsonObject]:
    """Return the template's tolerations and those that every daemon pod has."""
    keys = list(_TOLERATED)
    if spec.get("hostNetwork"):
        keys.append(("network-unavailable", "NoSchedule"))
    tolerations: list[JsonObject] = list(spec.get("tolerations") or ())
    for name, effect in keys:
        one = {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
        if one not in tolerations:
            tolerations.append(one)
    return tolerations


def make_daemon_pod(daemon_set: JsonObject, node_name: str, digest: str) -> JsonObject:
    """Return the pod for a node: tied to it by affinity, so that the scheduler binds it."""
    pod = make_pod(daemon_set, DAEMON_SETS)
    spec = pod["spec"]
    spec["tolerations"] = daemon_tolerations(spec)
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node_name]}]}
    affinity = deep_copy(spec.get("affinity") or {})
    affinity["nodeAffinity"] = {
        **(affinity.get("nodeAffinity") or {}),
        _REQUIRED: {"nodeSelectorTerms": [term]},
    }
    spec["affinity"] = affinity
    labels = dict(pod["metadata"].get("labels") or {})
    generation = template_generation(daemon_set)
    if generation:
        labels[GENERATION_LABEL] = generation
    if digest:
        labels[REVISION_HASH_LABEL] = digest
    pod["metadata"]["labels"] = labels
    return pod


def template_generation(daemon_set: JsonObject) -> str:
    """Return the number of the template, "" when the API server does not count."""
    return str((daemon_set["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION, ""))


def is_updated(daemon_set: JsonObject, pod: JsonObject, digest: str) -> bool:
    """Say whether the pod was made from the present template."""
    labels = pod["metadata"].get("labels") or {}
    generation = template_generation(daemon_set)
    if generation and labels.get(GENERATION_LABEL) == generation:
        return True
    return bool(digest) and labels.get(REVISION_HASH_LABEL) == digest


def target_node(pod: JsonObject) -> str:
    """Return the node that the pod is on or meant for, "" = none."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    for term in (node_affinity_of(pod).get(_REQUIRED) or {}).get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In" and len(field["values"]) == 1:
                return str(field["values"][0])
    return ""
