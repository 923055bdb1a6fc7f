"""Columns that many kinds' tables share."""

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


def column(
    name: str, value: Callable[[JsonObject], JsonValue], *, kind: str = "string", wide: bool = False
) -> Column:
    """Return a column whose cell depends on the object alone; `wide`: with -o wide only."""
    return Column(name=name, type=kind, priority=1 if wide else 0, value=lambda obj, _: value(obj))


def _age(obj: JsonObject, now: datetime) -> str:
    return age_of(obj["metadata"].get("creationTimestamp"), now)


NAME: Final = Column(name="Name", format="name", value=lambda obj, _: obj["metadata"].get("name", ""))
AGE: Final = Column(name="Age", value=_age)
CREATED_AT: Final = Column(
    name="Created At", type="date", value=lambda obj, _: obj["metadata"].get("creationTimestamp")
)


def _template_containers(obj: JsonObject) -> list[JsonObject]:
    template = (obj.get("spec") or {}).get("template") or {}
    return (template.get("spec") or {}).get("containers") or []


def format_selector(selector: JsonObject | None) -> str:
    """Return a LabelSelector as text."""
    if selector is None:
        return NONE
    return str(selector_from_object(selector)) or NONE


CONTAINERS: Final = column(
    "Containers", lambda obj: ",".join(one["name"] for one in _template_containers(obj)), wide=True
)
IMAGES: Final = column(
    "Images", lambda obj: ",".join(one.get("image", "") for one in _template_containers(obj)), wide=True
)
SELECTOR: Final = column(
    "Selector", lambda obj: format_selector((obj.get("spec") or {}).get("selector")), wide=True
)
