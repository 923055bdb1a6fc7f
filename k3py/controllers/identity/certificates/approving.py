"""Approves the requests of kubelets for themselves that RBAC grants; all others wait for a human.

Source: kubernetes/pkg/controller/certificates/approver/sarapprove.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS
from k3py.api.validation.certificate import parse_request
from k3py.controllers.identity.certificates.state import has_condition, watch_requests

if TYPE_CHECKING:
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_GRANTED_LATER_S: Final = 60.0


class CertificateApprover:
    """See the module."""

    name = "certificatesigningrequest-approving-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self.watches = (watch_requests(context),)
        self._requests = self.watches[0].informer.lister

    async def reconcile(self, key: str) -> float | None:
        """Decide about one request; one that nobody was granted is looked at again later, since grants come later, too."""
        found = self._requests.find("", key)
        if found is None or (found.get("status") or {}).get("certificate"):
            return None
        if has_condition(found, "Approved") or has_condition(found, "Denied"):
            return None
        from k3py.controllers.identity.certificates.rules import find_permissions  # noqa: PLC0415 - loads when needed

        spec = found["spec"]
        try:
            permissions = find_permissions(spec, parse_request(spec.get("request") or ""))
        except ValueError:
            return None
        for subresource, sentence in permissions:
            if await self._is_granted(spec, subresource):
                changed = deep_copy(found)
                condition = {
                    "type": "Approved",
                    "status": "True",
                    "reason": "AutoApproved",
                    "message": sentence,
                }
                status = changed.setdefault("status", {})
                status["conditions"] = [*(status.get("conditions") or ()), condition]
                await self._client.update(CERTIFICATE_SIGNING_REQUESTS, changed, subresource="approval")
                return None
        return _GRANTED_LATER_S if permissions else None

    async def _is_granted(self, spec: JsonObject, subresource: str) -> bool:
        review: JsonObject = {
            "kind": "SubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "spec": {
                "user": spec.get("username") or "",
                **{key: spec[key] for key in ("uid", "groups", "extra") if key in spec},
                "resourceAttributes": {
                    "group": "certificates.k8s.io",
                    "resource": "certificatesigningrequests",
                    "verb": "create",
                    "subresource": subresource,
                },
            },
        }
        answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, review)
        return bool((answer.get("status") or {}).get("allowed"))


def build(context: ControllerContext) -> CertificateApprover:
    """Make the controller."""
    return CertificateApprover(context)
