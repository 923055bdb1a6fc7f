"""Signs approved requests of Kubernetes' own four signers; requests to others are theirs.

Source: kubernetes/pkg/controller/certificates/signer/signer.go v1.35.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import CERTIFICATE_SIGNING_REQUESTS
from k3py.api.validation.certificate import parse_request
from k3py.controllers.identity.certificates.state import has_condition, watch_requests
from k3py.util import clock

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_YEAR_S: Final = 365 * 24 * 3600
_SHORTEST_S: Final = 600
# Which authority signs: what clients show to the API server, or what API servers and kubelets show to clients.
_AUTHORITIES: Final = {
    "kubernetes.io/kube-apiserver-client": "client-ca",
    "kubernetes.io/kube-apiserver-client-kubelet": "client-ca",
    "kubernetes.io/kubelet-serving": "server-ca",
    "kubernetes.io/legacy-unknown": "server-ca",
}


class CertificateSigner:
    """See the module."""

    name = "certificatesigningrequest-signing-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._authorities = context.authorities
        self.watches = (watch_requests(context),)
        self._requests = self.watches[0].informer.lister

    async def reconcile(self, key: str) -> float | None:
        """Sign, or write down why not."""
        found = self._requests.find("", key)
        if found is None or (found.get("status") or {}).get("certificate"):
            return None
        if (
            not has_condition(found, "Approved")
            or has_condition(found, "Denied")
            or has_condition(found, "Failed")
        ):
            return None
        authority = self._authorities.get(_AUTHORITIES.get(found["spec"].get("signerName") or "", ""))
        if authority is None:
            return None
        from k3py.controllers.identity.certificates.rules import find_fault  # noqa: PLC0415 - loads when needed
        from k3py.pki.issuing import issue  # noqa: PLC0415 - loads when needed

        spec = found["spec"]
        changed = deep_copy(found)
        status = changed.setdefault("status", {})
        usages = spec.get("usages") or ()
        request = _parse(spec)
        fault = (
            find_fault(spec["signerName"], request, usages) if request is not None else "unable to parse csr"
        )
        if request is not None and not fault:
            lifetime_s = min(_YEAR_S, max(_SHORTEST_S, spec.get("expirationSeconds") or _YEAR_S))
            try:
                pem = issue(authority, request, usages=usages, lifetime_s=lifetime_s, now=clock.now())
                status["certificate"] = base64.b64encode(pem).decode()
            except ValueError as error:
                fault = str(error)
        if fault:
            condition = {
                "type": "Failed",
                "status": "True",
                "reason": "SignerValidationFailure",
                "message": fault,
            }
            status["conditions"] = [*(status.get("conditions") or ()), condition]
        await self._client.update(CERTIFICATE_SIGNING_REQUESTS, changed, subresource="status")
        return None


def _parse(spec: JsonObject) -> CertificateSigningRequest | None:
    try:
        return parse_request(spec.get("request") or "")
    except ValueError:
        return None


def build(context: ControllerContext) -> CertificateSigner:
    """Make the controller."""
    return CertificateSigner(context)
