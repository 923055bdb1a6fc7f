"""Template hashes, revisions and which ReplicaSet is the new one.

Source: kubernetes/pkg/controller/deployment/util v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

HASH_LABEL: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
REVISION_HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MAXIMUM: Final = "deployment.kubernetes.io/max-replicas"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def _without_hash(template: JsonObject) -> JsonObject:
    labels = (template.get("metadata") or {}).get("labels") or {}
    if HASH_LABEL not in labels:
        return template
    copied: JsonObject = deep_copy(template)
    del copied["metadata"]["labels"][HASH_LABEL]
    return copied


def is_new(deployment: JsonObject, replica_set: JsonObject) -> bool:
    """Say whether the ReplicaSet has the Deployment's present template."""
    return _without_hash(replica_set["spec"]["template"]) == _without_hash(deployment["spec"]["template"])


def find_new(deployment: JsonObject, sets: Sequence[JsonObject]) -> JsonObject | None:
    """Return the oldest ReplicaSet with the present template."""
    matching = [one for one in sets if is_new(deployment, one)]
    return min(matching, key=lambda one: one["metadata"]["creationTimestamp"], default=None)


def revision_of(obj: JsonObject) -> int:
    """Return the revision annotation as a number, 0 when absent or malformed."""
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def copied_annotations(deployment: JsonObject) -> dict[str, str]:
    """Return the Deployment's annotations that its ReplicaSets carry too."""
    own = (REVISION, REVISION_HISTORY, DESIRED, MAXIMUM, _LAST_APPLIED, "deprecated.deployment.rollback.to")
    annotations = deployment["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key not in own}


def plan_set_annotations(
    deployment: JsonObject, replica_set: JsonObject | None, revision: int, max_replicas: int
) -> dict[str, str]:
    """Return all annotations that the new ReplicaSet shall have."""
    old = dict((replica_set or {"metadata": {}})["metadata"].get("annotations") or {})
    wanted = {**old, **copied_annotations(deployment)}
    known = int(old[REVISION]) if old.get(REVISION, "").isdigit() else 0
    if known < revision:
        if known:
            history = [one for one in old.get(REVISION_HISTORY, "").split(",") if one]
            wanted[REVISION_HISTORY] = ",".join([*history, str(known)])
        wanted[REVISION] = str(revision)
    if (
        replica_set is None
    ):  # an existing one learns them when it is resized: proportions come from the former ones
        wanted[DESIRED] = str(deployment["spec"].get("replicas", 1))
        wanted[MAXIMUM] = str(max_replicas)
    return wanted
