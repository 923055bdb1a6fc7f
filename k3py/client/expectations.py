"""What a controller has asked for and not yet seen in its informer, so that it does not ask twice.

Source: ControllerExpectations in kubernetes/pkg/controller/controller_utils.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S: Final = 300.0


@dataclass(slots=True)
class _Expected:
    creations: int = 0
    deletions: set[str] = field(default_factory=set)
    since_s: float = 0.0


class Expectations:
    """Per controller key: how many creations are to be seen, and the uids whose deletion is to be seen."""

    __slots__ = ("_expected",)

    def __init__(self) -> None:
        self._expected: dict[str, _Expected] = {}

    def expect_creations(self, key: str, count: int) -> None:
        """Expect to see `count` new objects; replaces what was expected for `key`."""
        self._expected[key] = _Expected(creations=count, since_s=clock.monotonic_s())

    def expect_deletions(self, key: str, uids: Iterable[str]) -> None:
        """Expect to see these objects go; replaces what was expected for `key`."""
        self._expected[key] = _Expected(deletions=set(uids), since_s=clock.monotonic_s())

    def expect(self, key: str, creations: int, deletions: Iterable[str]) -> None:
        """Expect to see both; replaces what was expected for `key`."""
        self._expected[key] = _Expected(
            creations=creations, deletions=set(deletions), since_s=clock.monotonic_s()
        )

    def creation_observed(self, key: str) -> None:
        """Note one creation, or that one will not come."""
        expected = self._expected.get(key)
        if expected is not None and expected.creations:
            expected.creations -= 1

    def deletion_observed(self, key: str, uid: str) -> None:
        """Note one deletion, or that it will not come."""
        expected = self._expected.get(key)
        if expected is not None:
            expected.deletions.discard(uid)

    def satisfied(self, key: str) -> bool:
        """Say whether all that was expected has been seen, or was waited for long enough (5 minutes)."""
        expected = self._expected.get(key)
        if expected is None or (expected.creations == 0 and not expected.deletions):
            return True
        return clock.monotonic_s() - expected.since_s > TIMEOUT_S

    def delete(self, key: str) -> None:
        """Forget a key."""
        self._expected.pop(key, None)
