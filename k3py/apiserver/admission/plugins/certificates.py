"""Who may approve and sign for a signer, and which subject nobody gets.

Source: kubernetes/plugin/pkg/admission/certificates (approval, signing, subjectrestriction) v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.user import MASTERS
from k3py.api.validation.certificate import parse_request
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for, refuse
from k3py.apiserver.interface import Attributes

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest, Authorizer

_GROUP: Final = "certificates.k8s.io"
_PLURAL: Final = "certificatesigningrequests"
_API_CLIENT: Final = "kubernetes.io/kube-apiserver-client"


class CertificateApproval(BasePlugin):
    """Who changes `approval` needs the verb approve for the signer."""

    name = "CertificateApproval"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, request: AdmissionRequest) -> bool:
        """See decisions."""
        return _is_part(request, "approval")

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 403."""
        await _check_signer(self._authorizer, request, "approve")


class CertificateSigning(BasePlugin):
    """Who sets a certificate or conditions needs the verb sign for the signer."""

    name = "CertificateSigning"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, request: AdmissionRequest) -> bool:
        """See answers of signers."""
        return _is_part(request, "status")

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 403."""
        new, old = ((obj or {}).get("status") or {} for obj in (request.obj, request.old))
        if all(new.get(key) == old.get(key) for key in ("certificate", "conditions")):
            return
        await _check_signer(self._authorizer, request, "sign")


class CertificateSubjectRestriction(BasePlugin):
    """Nobody becomes a member of system:masters through a request."""

    name = "CertificateSubjectRestriction"

    def handles(self, request: AdmissionRequest) -> bool:
        """See new requests."""
        return is_for(request, _GROUP, _PLURAL, ("CREATE",))

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 403."""
        from cryptography.x509.oid import NameOID  # noqa: PLC0415 - only clusters that sign need it here

        spec = (request.obj or {}).get("spec") or {}
        if spec.get("signerName") != _API_CLIENT:
            return
        try:
            subject = parse_request(spec.get("request") or "").subject
        except ValueError as error:
            raise refuse(request, f"could not parse CSR: {error}") from error
        organizations = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if any(one.value == MASTERS for one in organizations):
            raise refuse(request, f"use of {_API_CLIENT} signer with {MASTERS} group is not allowed")


def _is_part(request: AdmissionRequest, subresource: str) -> bool:
    kind = request.kind
    return (
        request.operation == "UPDATE"
        and request.subresource == subresource
        and (kind.group, kind.plural) == (_GROUP, _PLURAL)
    )


async def _check_signer(authorizer: Authorizer, request: AdmissionRequest, verb: str) -> None:
    signer = (((request.old or {}).get("spec")) or {}).get("signerName") or ""
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        decision = await authorizer.authorize(
            Attributes(user=request.user, verb=verb, group=_GROUP, version="*", resource="signers", name=name)
        )
        if decision.allowed:
            return
    raise refuse(request, f'user not permitted to {verb} requests with signerName "{signer}"')
