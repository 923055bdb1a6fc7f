"""ControllerRevisions: the numbered history of templates that DaemonSets and StatefulSets keep.

Source: kubernetes/pkg/controller/history and pkg/controller/daemon/update.go v1.35.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import CONTROLLER_REVISIONS
from k3py.api.status import ApiError
from k3py.controllers.ownership import find_controller, make_controller_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

REVISION_HASH_LABEL: Final = "controller-revision-hash"
_GO_ESCAPES: Final = (
    ("&", "\\u0026"),
    ("<", "\\u003c"),
    (">", "\\u003e"),
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
)
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


def hash_document(document: JsonObject, collisions: int) -> str:
    """Return a short hash (FNV-1a 32 bit, in an alphabet without vowels) of a document; `collisions` salts it."""
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    if collisions:
        data += collisions.to_bytes(8, "little")
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(_ALPHABET[ord(char) % len(_ALPHABET)] for char in str(value))


def hash_revision(data: JsonObject, collisions: int) -> str:
    """Return upstream's hash of a StatefulSet's revision (FNV-1 32 bit over the data as Go writes it, then the collisions)."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char, escape in _GO_ESCAPES:
        text = text.replace(char, escape)
    value = 0x811C9DC5
    for byte in f"{text}{collisions}".encode():
        value = ((value * 0x01000193) & 0xFFFFFFFF) ^ byte
    return "".join(_ALPHABET[ord(char) % len(_ALPHABET)] for char in str(value))


def template_patch(owner: JsonObject) -> JsonObject:
    """Return what a revision records of a set: a patch that puts its template back."""
    return {"spec": {"template": {**deep_copy(owner["spec"]["template"]), "$patch": "replace"}}}


def number_of(revision: JsonObject) -> int:
    """Return the revision's number."""
    return int(revision.get("revision", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionPlan:
    """What to do to have a revision of the present template.

    current: the equal one that is there, None = make one; number: what it shall have; surplus: further equal ones.
    """

    current: JsonObject | None
    number: int
    surplus: tuple[JsonObject, ...] = ()


def plan_revision(data: JsonObject, revisions: Sequence[JsonObject]) -> RevisionPlan:
    """Find the revision with `data`; it must have the highest number of all."""
    ranked = sorted(
        revisions,
        key=lambda one: (number_of(one), one["metadata"]["creationTimestamp"], one["metadata"]["name"]),
    )
    equal = [one for one in ranked if one.get("data") == data]
    highest = number_of(ranked[-1]) if ranked else 0
    if not equal:
        return RevisionPlan(current=None, number=highest + 1)
    current = equal[-1]
    others = max((number_of(one) for one in ranked if one is not current), default=0)
    number = number_of(current) if number_of(current) > others else others + 1
    return RevisionPlan(current=current, number=number, surplus=tuple(equal[:-1]))


def plan_trim(
    revisions: Sequence[JsonObject], live: Collection[str], limit: int, *, by_hash: bool
) -> list[JsonObject]:
    """Return the oldest revisions beyond `limit` that no pod uses.

    live: hashes (by_hash) or names of revisions in use. Upstream counts only unused ones for StatefulSets, all old ones for DaemonSets.
    """
    unused = [
        one
        for one in revisions
        if (
            (one["metadata"].get("labels") or {}).get(REVISION_HASH_LABEL)
            if by_hash
            else one["metadata"]["name"]
        )
        not in live
    ]
    surplus = (len(revisions) if by_hash else len(unused)) - limit
    return sorted(unused, key=number_of)[: max(0, surplus)]


async def ensure_revision(
    client: Client,
    *,
    owner: JsonObject,
    resource: Resource,
    revisions: Sequence[JsonObject],
    hash_label: str,
    hash_of: Callable[[JsonObject, int], str],
    collisions: int,
) -> tuple[JsonObject, int]:
    """Carry out `plan_revision`; returns the current revision and the number of hash collisions so far.

    hash_label: label of the revision that carries its hash; hash_of(data, collisions): that hash.

    Raises:
        ApiError: as the API answers.
    """
    data = template_patch(owner)
    plan = plan_revision(data, revisions)
    if plan.current is not None:
        if number_of(plan.current) == plan.number:
            return plan.current, collisions
        return await client.update(
            CONTROLLER_REVISIONS, {**plan.current, "revision": plan.number}
        ), collisions
    metadata = owner["metadata"]
    namespace = metadata["namespace"]
    while True:
        digest = hash_of(data, collisions)
        labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
        wanted: JsonObject = {
            "kind": "ControllerRevision",
            "apiVersion": "apps/v1",
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": namespace,
                "labels": {**labels, hash_label: digest},
                "ownerReferences": [make_controller_reference(owner, resource)],
            },
            "data": data,
            "revision": plan.number,
        }
        if metadata.get("annotations"):
            wanted["metadata"]["annotations"] = dict(metadata["annotations"])
        try:
            return await client.create(CONTROLLER_REVISIONS, wanted, namespace=namespace), collisions
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        live = await client.get(CONTROLLER_REVISIONS, wanted["metadata"]["name"], namespace=namespace)
        reference = find_controller(live)
        if live.get("data") == data and reference is not None and reference["uid"] == metadata["uid"]:
            return live, collisions
        collisions += 1
