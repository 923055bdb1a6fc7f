"""Nobody takes traffic to addresses that are not theirs: external IPs of Services cannot be set or added to; off by default.

Source: kubernetes/plugin/pkg/admission/network/denyserviceexternalips v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.admission.plugins.base import BasePlugin, is_for, refuse

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject


class DenyServiceExternalIPs(BasePlugin):
    """See the module."""

    name = "DenyServiceExternalIPs"

    def handles(self, request: AdmissionRequest) -> bool:
        """See writes of Services."""
        return is_for(request, "", "services", ("CREATE", "UPDATE"))

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse new addresses with 403; those that are there may stay or go."""
        if not _addresses_of(request.obj) <= _addresses_of(request.old):
            raise refuse(request, "Use of external IPs is denied by admission control.")


def _addresses_of(service: JsonObject | None) -> set[str]:
    return set(((service or {}).get("spec") or {}).get("externalIPs") or ())
