"""How many requests are handled at a time. Source: k8s.io/apiserver/pkg/server/filters/maxinflight.go v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.status import ApiError
from k3py.api.user import MASTERS
from k3py.apiserver.filters.request_info import READ_VERBS

if TYPE_CHECKING:
    from k3py.api.user import User


class InFlightLimit:
    """Counts reading and mutating requests; who comes too many gets 429 with Retry-After, but for system:masters.

    `enter` and `leave` belong in a try/finally; long-running requests pass neither.
    """

    __slots__ = ("most_mutating", "most_reading", "mutating", "reading")

    def __init__(self, *, most_reading: int = 400, most_mutating: int = 200) -> None:
        self.most_reading = most_reading
        self.most_mutating = most_mutating
        self.reading = 0
        self.mutating = 0

    def enter(self, verb: str, user: User) -> bool:
        """Take a slot; returns whether it is one for reading, for `leave`. Raises ApiError 429."""
        if verb in READ_VERBS:
            if self.reading >= self.most_reading and MASTERS not in user.groups:
                raise _too_many()
            self.reading += 1
            return True
        if self.mutating >= self.most_mutating and MASTERS not in user.groups:
            raise _too_many()
        self.mutating += 1
        return False

    def leave(self, reading: bool) -> None:
        """Give the slot back."""
        if reading:
            self.reading -= 1
        else:
            self.mutating -= 1


def _too_many() -> ApiError:
    return ApiError(
        429, "TooManyRequests", "Too many requests, please try again later.", retry_after_s=1, details={}
    )
