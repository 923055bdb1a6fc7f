"""How a request stands, and the watch that all three controllers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.resource import CERTIFICATE_SIGNING_REQUESTS
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


def has_condition(request: JsonObject, kind: str) -> bool:
    """Say whether a condition is there: Approved, Denied and Failed are only ever True."""
    return any(one.get("type") == kind for one in conditions_of(request))


def conditions_of(request: JsonObject) -> Iterable[JsonObject]:
    """Return the conditions."""
    return (request.get("status") or {}).get("conditions") or ()


def watch_requests(context: ControllerContext) -> Watch:
    """Return the watch whose keys are names of requests that are there."""
    return Watch(context.informers.informer(CERTIFICATE_SIGNING_REQUESTS), _names_of)


def _names_of(_old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return (new["metadata"]["name"],) if new is not None else ()
