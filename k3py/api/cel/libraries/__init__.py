"""Functions of expressions, one library a file; `ALL` is what validation rules of Kubernetes v1.35 may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.libraries import (
    addresses,
    authorizer,
    conversions,
    formats,
    lists,
    operators,
    optionals,
    quantities,
    regexes,
    semver,
    sets,
    strings,
    times,
    urls,
)  # fmt: skip

if TYPE_CHECKING:
    from k3py.api.cel.overload import Overload

ALL: Final[tuple[Overload, ...]] = (
    *operators.OVERLOADS, *conversions.OVERLOADS, *times.OVERLOADS, *strings.OVERLOADS, *regexes.OVERLOADS,
    *lists.OVERLOADS, *sets.OVERLOADS, *optionals.OVERLOADS, *urls.OVERLOADS, *addresses.OVERLOADS,
    *quantities.OVERLOADS, *formats.OVERLOADS, *semver.OVERLOADS, *authorizer.OVERLOADS,
)  # fmt: skip


def index_overloads() -> dict[tuple[str, bool], tuple[Overload, ...]]:
    """Return overloads by (name, is a member)."""
    found: dict[tuple[str, bool], list[Overload]] = {}
    for one in ALL:
        found.setdefault((one.name, one.member), []).append(one)
    return {key: tuple(ones) for key, ones in found.items()}
