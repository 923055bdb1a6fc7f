"""Which names of a CustomResourceDefinition are accepted, and its conditions.

Source: k8s.io/apiextensions-apiserver/pkg/controller/{status/naming_controller,establish,apiapproval}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.conditions import find_status, set_condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

_APPROVED: Final = "api-approved.kubernetes.io"
_REASONS: Final = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "shortNames": "ShortNamesConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}


def plan_status(definition: JsonObject, others: Iterable[JsonObject], *, now: str) -> JsonObject:
    """Return the status that a definition shall have next to the `others` of its group (itself may be among them)."""
    spec, status = definition["spec"], definition.get("status") or {}
    own = definition["metadata"]["uid"]
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if other["spec"]["group"] != spec["group"] or other["metadata"]["uid"] == own:
            continue
        taken = (other.get("status") or {}).get("acceptedNames") or {}
        resources.update(
            (taken.get("plural", ""), taken.get("singular", ""), *(taken.get("shortNames") or ()))
        )
        kinds.update((taken.get("kind", ""), taken.get("listKind", "")))
    names, conflict = _accept(spec["names"], status.get("acceptedNames") or {}, resources, kinds)
    conditions = list(status.get("conditions") or ())
    key, text = conflict
    conditions = set_condition(
        conditions,
        "NamesAccepted",
        "False" if key else "True",
        reason=_REASONS[key] if key else "NoConflicts",
        message=text if key else "no conflicts found",
        now=now,
    )
    if find_status(conditions, "Established") != "True":
        conditions = set_condition(
            conditions,
            "Established",
            "False" if key else "True",
            reason="NotAccepted" if key else "InitialNamesAccepted",
            message="not all names are accepted" if key else "the initial names have been accepted",
            now=now,
        )
    return {**status, "acceptedNames": names, "conditions": _approve(definition, conditions, now)}


def _accept(
    wanted: JsonObject, accepted: JsonObject, resources: set[str], kinds: set[str]
) -> tuple[JsonObject, tuple[str, str]]:
    """Return the names accepted now, and the last conflict as (name's field, sentence)."""
    result: JsonObject = {**accepted}
    conflict = ("", "")
    for key, used in (
        ("plural", resources),
        ("singular", resources),
        ("shortNames", resources),
        ("kind", kinds),
        ("listKind", kinds),
    ):
        value = wanted.get(key)
        asked = value or [] if key == "shortNames" else [value or ""]
        had = accepted.get(key)
        former = had or [] if key == "shortNames" else [had or ""]
        taken = [one for one in asked if one not in former and one in used]
        if taken:
            conflict = (key, ", ".join(f'"{one}" is already in use' for one in taken))
        elif value:
            result[key] = value
        else:
            result.pop(key, None)
    result.pop("categories", None)
    if wanted.get("categories"):
        result["categories"] = wanted["categories"]
    return result, conflict


def _approve(definition: JsonObject, conditions: list[JsonObject], now: str) -> list[JsonObject]:
    if not f".{definition['spec']['group']}".endswith((".k8s.io", ".kubernetes.io")):
        return conditions
    value = (definition["metadata"].get("annotations") or {}).get(_APPROVED, "")
    approved = value.startswith(("http://", "https://"))
    if approved:
        reason, message = "ApprovedAnnotation", f"approved in {value}"
    elif value:
        reason, message = "UnapprovedAnnotation", f"not approved: {value}"
    else:
        reason = "MissingAnnotation"
        message = 'protected groups must have approval annotation "api-approved.kubernetes.io"'
    return set_condition(
        conditions,
        "KubernetesAPIApprovalPolicyConformant",
        "True" if approved else "False",
        reason=reason,
        message=message,
        now=now,
    )
