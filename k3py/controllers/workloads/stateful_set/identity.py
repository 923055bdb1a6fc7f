"""Names, ordinals, labels and claims that tie a pod to its place in a StatefulSet.

Source: kubernetes/pkg/controller/statefulset/stateful_set_utils.go v1.35.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import STATEFUL_SETS
from k3py.controllers.pod import is_ready, phase_of
from k3py.controllers.workloads.pod_control import make_pod
from k3py.controllers.workloads.revisions import REVISION_HASH_LABEL

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

NAME_LABEL: Final = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL: Final = "apps.kubernetes.io/pod-index"
_NAME: Final = re.compile(r"(.*)-([0-9]+)", re.DOTALL)


def ordinal_of(pod: JsonObject) -> int:
    """Return the number at the end of the pod's name, -1 when there is none."""
    match = _NAME.fullmatch(pod["metadata"]["name"])
    return int(match[2]) if match else -1


def is_member(stateful_set: JsonObject, pod: JsonObject) -> bool:
    """Say whether the pod's name belongs to the set."""
    match = _NAME.fullmatch(pod["metadata"]["name"])
    return match is not None and match[1] == stateful_set["metadata"]["name"]


def start_of(stateful_set: JsonObject) -> int:
    """Return the first ordinal."""
    return int((stateful_set["spec"].get("ordinals") or {}).get("start", 0))


def size_of(stateful_set: JsonObject) -> int:
    """Return spec.replicas."""
    return int(stateful_set["spec"].get("replicas", 1))


def in_range(stateful_set: JsonObject, ordinal: int) -> bool:
    """Say whether the set wants a pod with this ordinal."""
    start = start_of(stateful_set)
    return start <= ordinal < start + size_of(stateful_set)


def revision_of(pod: JsonObject) -> str:
    """Return the name of the ControllerRevision that the pod was made from."""
    return str((pod["metadata"].get("labels") or {}).get(REVISION_HASH_LABEL, ""))


def is_running_and_ready(pod: JsonObject) -> bool:
    """Say whether the pod runs and is ready."""
    return phase_of(pod) == "Running" and is_ready(pod)


def make_set_pod(stateful_set: JsonObject, revision: JsonObject, ordinal: int) -> JsonObject:
    """Return the pod for an ordinal, from the template that `revision` recorded."""
    template = {key: one for key, one in revision["data"]["spec"]["template"].items() if key != "$patch"}
    owner = {**stateful_set, "spec": {**stateful_set["spec"], "template": template}}
    name = f"{stateful_set['metadata']['name']}-{ordinal}"
    pod = make_pod(owner, STATEFUL_SETS, name=name)
    pod["metadata"]["generateName"] = f"{stateful_set['metadata']['name']}-"
    pod["metadata"]["labels"] = {
        **(pod["metadata"].get("labels") or {}),
        REVISION_HASH_LABEL: revision["metadata"]["name"],
    }
    pod["spec"]["hostname"] = name
    pod["spec"]["subdomain"] = stateful_set["spec"].get("serviceName", "")
    if not pod["spec"]["subdomain"]:
        del pod["spec"]["subdomain"]
    return with_identity(stateful_set, pod)


def has_identity(stateful_set: JsonObject, pod: JsonObject) -> bool:
    """Say whether the pod carries the labels and volumes of its place."""
    labels = pod["metadata"].get("labels") or {}
    if labels.get(NAME_LABEL) != pod["metadata"]["name"] or labels.get(INDEX_LABEL) != str(ordinal_of(pod)):
        return False
    volumes = {one["name"]: one for one in pod["spec"].get("volumes") or ()}
    return all(
        (volumes.get(template, {}).get("persistentVolumeClaim") or {}).get("claimName") == name
        for template, name in claim_names(stateful_set, ordinal_of(pod)).items()
    )


def with_identity(stateful_set: JsonObject, pod: JsonObject) -> JsonObject:
    """Return the pod with labels and volumes of its place."""
    changed: JsonObject = deep_copy(pod)
    changed["metadata"].setdefault("labels", {}).update(
        {NAME_LABEL: pod["metadata"]["name"], INDEX_LABEL: str(ordinal_of(pod))}
    )
    claims = claim_names(stateful_set, ordinal_of(pod))
    if claims:
        volumes = [
            {"name": template, "persistentVolumeClaim": {"claimName": name}}
            for template, name in claims.items()
        ]
        volumes += [one for one in changed["spec"].get("volumes") or () if one["name"] not in claims]
        changed["spec"]["volumes"] = volumes
    return changed


def claim_names(stateful_set: JsonObject, ordinal: int) -> dict[str, str]:
    """Return the names of the ordinal's claims by the names of their templates."""
    name = stateful_set["metadata"]["name"]
    return {
        one["metadata"]["name"]: f"{one['metadata']['name']}-{name}-{ordinal}"
        for one in stateful_set["spec"].get("volumeClaimTemplates") or ()
    }


def make_claims(stateful_set: JsonObject, ordinal: int) -> list[JsonObject]:
    """Return the claims that the ordinal's pod needs."""
    names = claim_names(stateful_set, ordinal)
    selected = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    claims = []
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        claim = {key: deep_copy(one) for key, one in template.items() if key != "status"}
        claim |= {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
        claim["metadata"] |= {
            "name": names[template["metadata"]["name"]],
            "namespace": stateful_set["metadata"]["namespace"],
            "labels": {**(claim["metadata"].get("labels") or {}), **selected},
        }
        claims.append(claim)
    return claims
