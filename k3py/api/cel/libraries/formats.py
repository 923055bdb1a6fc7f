"""Named formats of strings. Source: k8s.io/apiserver/pkg/cel/library/format.go v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.cel.overload import REGEX, TRAVERSAL, Overload, Size, member, multiply, scale
from k3py.api.cel.types import FORMAT, STRING, CelType, list_of, optional_of
from k3py.api.cel.values import ABSENT, Optional
from k3py.api.names import (
    find_dns1035_faults,
    find_label_faults,
    find_label_value_faults,
    find_qualified_name_faults,
    find_subdomain_faults,
)  # fmt: skip
from k3py.api.structural.formats import find_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST_PATTERN: Final = 128


class Format:
    """A format; `find_faults` returns what is wrong with a text."""

    __slots__ = ("find_faults", "name")
    cel_type: ClassVar[CelType] = FORMAT

    def __init__(self, name: str, find_faults: Callable[[str], list[str]]) -> None:
        self.name = name
        self.find_faults = find_faults


def _prefix(find_faults: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    return lambda text: find_faults(text[:-1] + "a" if text.endswith("-") else text)


def _structural(name: str, text: str) -> Callable[[str], list[str]]:
    is_valid = find_format(name)
    return lambda value: [] if is_valid is not None and is_valid(value) else [text]


def _uri(text: str) -> list[str]:
    from k3py.api.cel.libraries.urls import OVERLOADS as URLS  # noqa: PLC0415 - only this format needs it

    is_url = next(one.function for one in URLS if one.name == "isURL")
    return [] if is_url(text) else ["invalid URI"]


_FORMATS: Final = {
    one.name: one
    for one in (
        Format("dns1123Label", find_label_faults),
        Format("dns1123Subdomain", find_subdomain_faults),
        Format("dns1035Label", find_dns1035_faults),
        Format("qualifiedName", find_qualified_name_faults),
        Format("dns1123LabelPrefix", _prefix(find_label_faults)),
        Format("dns1123SubdomainPrefix", _prefix(find_subdomain_faults)),
        Format("dns1035LabelPrefix", _prefix(find_dns1035_faults)),
        Format("labelValue", find_label_value_faults),
        Format("uri", _uri),
        Format("uuid", _structural("uuid", "does not match the UUID format")),
        Format("byte", _structural("byte", "invalid base64")),
        Format("date", _structural("date", "invalid date")),
        Format("datetime", _structural("date-time", "invalid datetime")),
    )
}


def _named(name: str) -> Optional:
    found = _FORMATS.get(name)
    return ABSENT if found is None else Optional(present=True, value=found)


def _validate(one: Format, text: str) -> Optional:
    faults = one.find_faults(text)
    return Optional(present=True, value=faults) if faults else ABSENT


def _cost_validate(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    pattern = scale((0, _LONGEST_PATTERN), REGEX)
    return multiply(scale(sizes[1], TRAVERSAL), pattern), None


OVERLOADS: Final = (
    *(Overload(f"format.{name}", (), FORMAT, lambda one=one: one) for name, one in _FORMATS.items()),
    Overload("format.named", (STRING,), optional_of(FORMAT), _named),
    member("validate", (FORMAT, STRING), optional_of(list_of(STRING)), _validate, _cost_validate),
)
