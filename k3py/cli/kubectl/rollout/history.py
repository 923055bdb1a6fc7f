"""Revisions of Deployments (their ReplicaSets), DaemonSets and StatefulSets (their ControllerRevisions), and the way back to one.

Source: kubectl v0.35 pkg/polymorphichelpers/{history,rollback}.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.resource import CONTROLLER_REVISIONS, REPLICA_SETS
from k3py.cli.kubectl.output import write_query
from k3py.cli.kubectl.rollout.template import describe_template
from k3py.client.interface import PatchType
from k3py.errors import K3pyError

if TYPE_CHECKING:
    import argparse

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_REVISION: Final = "deployment.kubernetes.io/revision"
_CAUSE: Final = "kubernetes.io/change-cause"
_HASH: Final = "pod-template-hash"
_NOT_CARRIED: Final = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        _REVISION,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "deprecated.deployment.rollback.to",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """number: counted by the controller; cause: as somebody noted it; source: the object that keeps it."""

    number: int
    cause: str
    template: JsonObject
    source: JsonObject


async def list_revisions(session: Session, resource: Resource, obj: JsonObject) -> list[Revision]:
    """Return the known revisions, the oldest first.

    Raises:
        K3pyError: objects of this type have none.
    """
    if resource.kind not in ("Deployment", "DaemonSet", "StatefulSet"):
        raise K3pyError(
            f"no history viewer has been implemented for {resource.api_version}, Kind={resource.kind}"
        )
    metadata = obj["metadata"]
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    source = REPLICA_SETS if resource.kind == "Deployment" else CONTROLLER_REVISIONS
    listed = await session.client.list(source, namespace=metadata["namespace"], label_selector=selector)
    found = []
    for one in listed.items:
        owners = one["metadata"].get("ownerReferences") or ()
        if not any(owner.get("controller") and owner["uid"] == metadata["uid"] for owner in owners):
            continue
        notes = one["metadata"].get("annotations") or {}
        number = int(notes.get(_REVISION, "0")) if resource.kind == "Deployment" else int(one["revision"])
        template = (
            one["spec"]["template"] if resource.kind == "Deployment" else one["data"]["spec"]["template"]
        )
        found.append(Revision(number=number, cause=notes.get(_CAUSE, ""), template=template, source=one))
    return sorted(found, key=lambda one: one.number)


async def undo(
    session: Session, options: argparse.Namespace, resource: Resource, obj: JsonObject
) -> tuple[JsonObject, str]:
    """Bring the template of a revision back, 0 = of the one before the last; return the object and what was done."""
    name = obj["metadata"]["name"]
    if resource.kind == "Deployment" and obj["spec"].get("paused"):
        raise K3pyError(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
        )
    revisions = await list_revisions(session, resource, obj)
    target = _choose(resource, name, revisions, options.to_revision)
    if options.dry_run == "client":
        return obj, describe_template(target.template) + " (dry run)"
    template = _clean(target.template)
    if _clean(obj["spec"]["template"]) == template:
        return obj, f"skipped rollback (current template already matches revision {target.number})"
    query = write_query(options, "kubectl-rollout")
    path = resource.path(obj["metadata"]["namespace"], name)
    if resource.kind == "Deployment":
        notes = obj["metadata"].get("annotations") or {}
        old = target.source["metadata"].get("annotations") or {}
        kept = {key: value for key, value in notes.items() if key in _NOT_CARRIED}
        carried = {key: value for key, value in old.items() if key not in _NOT_CARRIED}
        patch = [
            {"op": "replace", "path": "/spec/template", "value": template},
            {
                "op": "replace" if "annotations" in obj["metadata"] else "add",
                "path": "/metadata/annotations",
                "value": {**kept, **carried},
            },
        ]
        changed = await session.client.request(
            "PATCH", path, query=query, body=patch, content_type=PatchType.JSON.value
        )
    else:
        changed = await session.client.request(
            "PATCH", path, query=query, body=target.source["data"], content_type=PatchType.STRATEGIC.value
        )
    return changed, "rolled back"


def _choose(resource: Resource, name: str, revisions: list[Revision], wanted: int) -> Revision:
    if wanted:
        found = next((one for one in revisions if one.number == wanted), None)
        if found is None:
            raise K3pyError(f"unable to find specified revision {wanted} in history")
        return found
    if len(revisions) < 2:
        raise K3pyError(
            f'no rollout history found for {resource.kind.lower()} "{name}"'
            if resource.kind == "Deployment"
            else "no last revision to roll back to"
        )
    return revisions[-2]


def _clean(template: JsonObject) -> JsonObject:
    """Return a template without what the controller added."""
    metadata = dict(template.get("metadata") or {})
    if labels := metadata.get("labels"):
        metadata["labels"] = {key: value for key, value in labels.items() if key != _HASH}
    return {**template, "metadata": metadata}
