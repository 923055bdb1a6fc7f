"""Who makes a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_EMPTY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})

AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
MASTERS: Final = "system:masters"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An authenticated (or anonymous) identity; `groups` already holds system:authenticated or system:unauthenticated."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)


ANONYMOUS: Final = User(name="system:anonymous", groups=(UNAUTHENTICATED,))
