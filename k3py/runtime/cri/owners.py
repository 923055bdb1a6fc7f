"""Which pod a container or sandbox belongs to: runtimes' events name containers, k3py looks at pods."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_KEPT: Final = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """The pod of an id; `sandbox_id` equals the id for a sandbox."""

    sandbox_id: str
    pod_uid: str


class Owners:
    """The last few thousand ids that calls and lists have shown, oldest forgotten first."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[str, Owner] = OrderedDict()

    def note(self, container_id: str, sandbox_id: str, pod_uid: str) -> None:
        """Remember an id; noting it again makes it the youngest."""
        self._known[container_id] = Owner(sandbox_id, pod_uid)
        self._known.move_to_end(container_id)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def find(self, container_id: str) -> Owner | None:
        """Return the owner, if known."""
        return self._known.get(container_id)
