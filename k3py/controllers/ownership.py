"""Controller references: who owns what, adoption of orphans and release of those that no longer match.

Source: kubernetes/pkg/controller/controller_ref_manager.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.api.status import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.api.resource import Resource
    from k3py.api.selectors import LabelSelector
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

CONTROLLER_INDEX = "controller-uid"
ORPHAN_INDEX = "orphan-namespace"


def find_controller(obj: JsonObject) -> JsonObject | None:
    """Return the owner reference with `controller: true`, if any."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def make_controller_reference(owner: JsonObject, resource: Resource) -> JsonObject:
    """Return the reference that makes `owner` the managing controller of an object."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def index_by_controller(obj: JsonObject) -> Sequence[str]:
    """Index function for CONTROLLER_INDEX."""
    reference = find_controller(obj)
    return (reference["uid"],) if reference else ()


def index_orphans(obj: JsonObject) -> Sequence[str]:
    """Index function for ORPHAN_INDEX: namespaces of objects that nobody manages."""
    return () if find_controller(obj) else (obj["metadata"].get("namespace", ""),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Outcome of `plan_claims`."""

    owned: tuple[JsonObject, ...]
    adopt: tuple[JsonObject, ...]
    release: tuple[JsonObject, ...]


def plan_claims(owner: JsonObject, selector: LabelSelector, candidates: Iterable[JsonObject]) -> Claims:
    """Sort candidates of the owner's namespace into owned ones, orphans to adopt and owned ones to let go."""
    uid, deleting = owner["metadata"]["uid"], "deletionTimestamp" in owner["metadata"]
    owned, adopt, release = [], [], []
    for one in candidates:
        metadata = one["metadata"]
        reference = find_controller(one)
        matches = selector.matches(metadata.get("labels") or {})
        if reference is not None:
            if reference["uid"] == uid:
                if matches:
                    owned.append(one)
                elif not deleting:
                    release.append(one)
        elif matches and not deleting and "deletionTimestamp" not in metadata:
            adopt.append(one)
    return Claims(owned=tuple(owned), adopt=tuple(adopt), release=tuple(release))


async def claim(
    client: Client,
    *,
    owner: JsonObject,
    owner_resource: Resource,
    resource: Resource,
    selector: LabelSelector,
    candidates: Iterable[JsonObject],
) -> list[JsonObject]:
    """Adopt and release as planned and return the objects that `owner` now manages.

    Raises:
        ApiError: adoption failed for another reason than that the object is gone.
    """
    claims = plan_claims(owner, selector, candidates)
    owned = list(claims.owned)
    if claims.adopt:
        metadata = owner["metadata"]
        live = await client.get(owner_resource, metadata["name"], namespace=metadata.get("namespace", ""))
        if live["metadata"]["uid"] != metadata["uid"] or "deletionTimestamp" in live["metadata"]:
            return owned
    reference = make_controller_reference(owner, owner_resource)
    for one in claims.adopt:
        adopted = await _patch_references(client, resource, one, reference)
        if adopted is not None:
            owned.append(adopted)
    for one in claims.release:
        await _patch_references(client, resource, one, {"$patch": "delete", "uid": owner["metadata"]["uid"]})
    return owned


async def _patch_references(
    client: Client, resource: Resource, obj: JsonObject, reference: JsonObject
) -> JsonObject | None:
    metadata = obj["metadata"]
    patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": [reference]}}
    try:
        return await client.patch(resource, metadata["name"], patch, namespace=metadata.get("namespace", ""))
    except ApiError as error:
        if error.code in (404, 409, 422):  # gone, or another object of that name: nothing left to claim
            return None
        raise
