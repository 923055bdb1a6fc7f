"""Columns that many kinds have in common, and short ways to write their own.

Source: kubernetes/pkg/printers/internalversion/printers.go v1.35 (Tables always carry the wide columns).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.duration import age_of
from k3py.api.kind import Column
from k3py.api.selectors import selector_from_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from k3py.jsontypes import JsonObject, JsonValue

NONE: Final = "<none>"
UNSET: Final = "<unset>"
_NAME_TEXT: Final = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may "
    "allow a client to request the generation of an appropriate name automatically. Name is primarily intended "
    "for creation idempotence and configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
_CREATED_TEXT: Final = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
    "guaranteed to be set in happens-before order across separate operations. Clients may not set this value. "
    "It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)


def value_at(obj: JsonObject, path: str, default: JsonValue = None) -> JsonValue:
    """Return the value at a dotted path; `default` when it, or anything on the way, is absent or null."""
    value: JsonValue = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return default
    return value


def _name_of(obj: JsonObject, _now: datetime) -> JsonValue:
    return (obj.get("metadata") or {}).get("name", "")


def _age_of(obj: JsonObject, now: datetime) -> JsonValue:
    return age_of((obj.get("metadata") or {}).get("creationTimestamp"), now)


def _creation_of(obj: JsonObject, _now: datetime) -> JsonValue:
    return (obj.get("metadata") or {}).get("creationTimestamp")


NAME: Final = Column(name="Name", format="name", description=_NAME_TEXT, value=_name_of)
WIDE_NAME: Final = Column(name="Name", format="name", description=_NAME_TEXT, priority=1, value=_name_of)
AGE: Final = Column(name="Age", description=_CREATED_TEXT, value=_age_of)
CREATED_AT: Final = Column(name="Created At", type="date", description=_CREATED_TEXT, value=_creation_of)


def column(
    name: str,
    value: Callable[[JsonObject], JsonValue],
    *,
    kind: str = "string",
    description: str = "",
    wide: bool = False,
    format: str = "",  # noqa: A002 - the API's word
) -> Column:
    """Return a column whose cell does not depend on the time; `kind` is its type, `wide` shows it with -o wide only."""
    return Column(
        name=name,
        type=kind,
        format=format,
        description=description,
        priority=1 if wide else 0,
        value=lambda obj, _now: value(obj),
    )


def field_column(
    name: str,
    path: str,
    default: JsonValue = "",
    *,
    kind: str = "string",
    description: str = "",
    wide: bool = False,
) -> Column:
    """Return a column that shows the value at a dotted path, or `default`."""
    return column(
        name, lambda obj: value_at(obj, path, default), kind=kind, description=description, wide=wide
    )


def format_labels(labels: JsonObject | None) -> str:
    """Return labels as "a=b,c=d" in order of keys, "<none>" for none."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def format_selector(selector: JsonObject | None) -> str:
    """Return a LabelSelector in its text form, "<none>" when it selects everything or nothing."""
    return str(selector_from_object(selector)) or NONE if selector else NONE


def format_list(shown: list[str], *, most: int, count: int) -> str:
    """Return the first of `count` entries, and how many more there are."""
    text = ",".join(shown[:most])
    return f"{text} + {count - most} more..." if count > most else text


def age_at(name: str, path: str, missing: str = NONE) -> Column:
    """Return a column that shows how long ago the time at a dotted path was."""
    return Column(
        name=name,
        value=lambda obj, now: age_of(value_at(obj, path), now) if value_at(obj, path) else missing,
    )


def pod_template_columns(template_path: str, selector: Callable[[JsonObject], str]) -> tuple[Column, ...]:
    """Return Containers, Images and Selector, the wide columns of workloads."""
    return (*container_columns(template_path), column("Selector", selector, wide=True))


def container_columns(template_path: str, *, wide: bool = True) -> tuple[Column, ...]:
    """Return Containers and Images of the pod template at a dotted path."""

    def listed(key: str) -> Callable[[JsonObject], str]:
        path = f"{template_path}.spec.containers"
        return lambda obj: ",".join(str(one.get(key, "")) for one in value_at(obj, path, ()))

    return (
        column(
            "Containers", listed("name"), description="Names of each container in the template.", wide=wide
        ),
        column(
            "Images",
            listed("image"),
            description="Images referenced by each container in the template.",
            wide=wide,
        ),
    )


CONTAINERS, IMAGES = container_columns("spec.template")
SELECTOR: Final = column("Selector", lambda obj: format_selector(value_at(obj, "spec.selector")), wide=True)
