"""Removes requests that nobody needs any more, each at its time.

Source: kubernetes/pkg/controller/certificates/cleaner/cleaner.go v1.35.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import TYPE_CHECKING, Final

from k3py.api.resource import CERTIFICATE_SIGNING_REQUESTS
from k3py.api.status import ApiError
from k3py.api.timestamps import parse_time
from k3py.controllers.identity.certificates.state import conditions_of, watch_requests
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_DECIDED: Final = dt.timedelta(hours=1)
_WAITING: Final = dt.timedelta(hours=24)
_LONGEST_S: Final = 3600.0  # the wall clock may be set meanwhile


class CertificateCleaner:
    """See the module."""

    name = "certificatesigningrequest-cleaner-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self.watches = (watch_requests(context),)
        self._requests = self.watches[0].informer.lister

    async def reconcile(self, key: str) -> float | None:
        """Remove the request if its time has come; else look again then."""
        found = self._requests.find("", key)
        if found is None:
            return None
        left_s = (find_end(found) - clock.now()).total_seconds()
        if left_s > 0:
            return min(left_s, _LONGEST_S)
        metadata = found["metadata"]
        try:
            await self._client.delete(CERTIFICATE_SIGNING_REQUESTS, key, uid=metadata["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return None


def find_end(request: JsonObject) -> dt.datetime:
    """Return when a request goes: an hour after it was answered, a day after it came or was approved, and with its certificate."""
    return min(_ends_of(request))


def _ends_of(request: JsonObject) -> Iterator[dt.datetime]:
    encoded = (request.get("status") or {}).get("certificate") or ""
    decided = False
    for one in conditions_of(request):
        kind = one.get("type")
        since = parse_time(one.get("lastUpdateTime") or request["metadata"]["creationTimestamp"])
        if kind in ("Denied", "Failed") or (kind == "Approved" and encoded):
            yield since + _DECIDED
        elif kind == "Approved":
            yield since + _WAITING
        decided = decided or kind in ("Approved", "Denied", "Failed")
    if not decided:
        yield parse_time(request["metadata"]["creationTimestamp"]) + _WAITING
    if encoded and (expiry := _expiry_of(encoded)) is not None:
        yield expiry


def _expiry_of(encoded: str) -> dt.datetime | None:
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - loads when needed

    try:
        return load_pem_x509_certificate(base64.b64decode(encoded)).not_valid_after_utc
    except (ValueError, binascii.Error):
        return None


def build(context: ControllerContext) -> CertificateCleaner:
    """Make the controller."""
    return CertificateCleaner(context)
