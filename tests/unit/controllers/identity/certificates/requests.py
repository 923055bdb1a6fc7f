"""Makes certificate requests as clients write them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

CLIENT_USAGES = ("digital signature", "client auth")


def make_csr(
    name: str, *organizations: str, names: Sequence[x509.GeneralName] = ()
) -> x509.CertificateSigningRequest:
    """Return a request for a subject, signed by a fresh key."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def make_object(
    csr: x509.CertificateSigningRequest,
    *,
    signer: str = "kubernetes.io/kube-apiserver-client",
    usages: Sequence[str] = CLIENT_USAGES,
    username: str = "somebody",
    conditions: Sequence[str] = (),
    expiration_s: int | None = None,
) -> JsonObject:
    """Return a CertificateSigningRequest named "r"."""
    encoded = base64.b64encode(csr.public_bytes(serialization.Encoding.PEM)).decode()
    spec: JsonObject = {
        "request": encoded,
        "signerName": signer,
        "usages": list(usages),
        "username": username,
    }
    if expiration_s is not None:
        spec["expirationSeconds"] = expiration_s
    now = "2026-01-01T00:00:00Z"
    status = {"conditions": [{"type": one, "status": "True", "lastUpdateTime": now} for one in conditions]}
    return {"metadata": {"name": "r", "creationTimestamp": now}, "spec": spec, "status": status}
