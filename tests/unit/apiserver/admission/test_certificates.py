"""Admission of certificate requests: signers have their own permissions (api-machinery.md §4.7)."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from k3py.api.kinds.certificates.certificate_signing_request import KIND
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.plugins.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from k3py.apiserver.interface import AdmissionRequest, Decision

ALICE = User(name="alice")
APPROVED = {"conditions": [{"type": "Approved", "status": "True"}]}


class Signers:
    """Permits what was granted: (verb, name of the signer)."""

    def __init__(self, *granted):
        self.granted = granted

    async def authorize(self, attributes):
        assert (attributes.group, attributes.resource) == ("certificates.k8s.io", "signers")
        return Decision(allowed=(attributes.verb, attributes.name) in self.granted)


def request(subresource="", *, status=None, old_status=None, spec=None, operation="UPDATE"):
    spec = spec or {"signerName": "example.com/s"}
    return AdmissionRequest(
        operation=operation,
        kind=KIND,
        user=ALICE,
        name="a",
        subresource=subresource,
        obj={"metadata": {"name": "a"}, "spec": spec, "status": status or {}},
        old={"metadata": {"name": "a"}, "spec": spec, "status": old_status or {}},
    )


async def is_refused(plugin, one):
    assert plugin.handles(one)
    codes = []
    try:
        await plugin.validate(one)
    except ApiError as error:
        codes.append(error.code)
    assert codes in ([], [403])
    return bool(codes)


@pytest.mark.parametrize(
    ("granted", "refused"),
    [
        ((), True),
        ((("approve", "example.com/s"),), False),
        ((("approve", "example.com/*"),), False),
        ((("approve", "example.com/t"),), True),
        ((("sign", "example.com/s"),), True),
    ],
)
async def test_approving_needs_the_verb_for_the_signer_or_its_domain(granted, refused):
    plugin = CertificateApproval(Signers(*granted))
    assert await is_refused(plugin, request("approval", status=APPROVED)) is refused
    assert not plugin.handles(request("status"))


async def test_signing_needs_the_verb_only_where_something_is_signed():
    permitted, other = CertificateSigning(Signers(("sign", "example.com/s"))), CertificateSigning(Signers())
    issued = {"certificate": "x"}
    assert not await is_refused(permitted, request("status", status=issued))
    assert await is_refused(other, request("status", status=issued))
    assert await is_refused(other, request("status", status=APPROVED))
    assert not await is_refused(other, request("status", status=issued, old_status=issued))


def encode(organization):
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    built = x509.CertificateSigningRequestBuilder().subject_name(name)
    pem = built.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)
    return base64.b64encode(pem).decode()


@pytest.mark.parametrize(
    ("organization", "signer", "refused"),
    [
        ("system:masters", "kubernetes.io/kube-apiserver-client", True),
        ("dev", "kubernetes.io/kube-apiserver-client", False),
        ("system:masters", "example.com/s", False),
    ],
)
async def test_nobody_asks_for_the_superusers_group(organization, signer, refused):
    spec = {"signerName": signer, "request": encode(organization)}
    assert await is_refused(CertificateSubjectRestriction(), request(spec=spec, operation="CREATE")) is refused


async def test_a_request_that_cannot_be_read_is_refused():
    spec = {"signerName": "kubernetes.io/kube-apiserver-client", "request": "x"}
    assert await is_refused(CertificateSubjectRestriction(), request(spec=spec, operation="CREATE"))
