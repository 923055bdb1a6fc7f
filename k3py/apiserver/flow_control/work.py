"""How many seats a request takes: a list one for each hundred objects that it may look at.

Source: k8s.io/apiserver/pkg/util/flowcontrol/request/{config,list_work_estimator}.go v0.35. Pages take what they give, and a change of an
object takes one seat: here a page is cut from an index, and all watchers share an event's bytes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.apiserver.filters.request_info import RequestInfo

MOST_SEATS: Final = 10
OBJECTS_A_SEAT: Final = 100
_LEVEL_SHARE: Final = 0.15
"""No request takes more of its level's seats."""


def most_seats(seats: int) -> int:
    """Return how many of a level's seats one request may take."""
    return max(1, min(MOST_SEATS, math.ceil(seats * _LEVEL_SHARE)))


def is_list(info: RequestInfo, options: Mapping[str, str]) -> bool:
    """Say whether a request looks at a whole collection: a list, or a watch that begins with one."""
    if not info.is_resource or info.name or info.subresource:
        return False
    if info.verb == "watch":
        return options.get("sendInitialEvents", "") in ("true", "1") or not options.get("resourceVersion")
    return info.verb == "list"


def seats_of_list(stored: int, options: Mapping[str, str], *, most: int) -> int:
    """Return the seats of a list of a collection of `stored` objects."""
    limit = options.get("limit", "")
    looked_at = min(stored, int(limit)) if limit.isascii() and limit.isdigit() and int(limit) else stored
    return max(1, min(most, math.ceil(looked_at / OBJECTS_A_SEAT)))
