"""Signs what a CertificateSigningRequest asks for, for the usages that were granted.

Source: kubernetes/pkg/controller/certificates/{signer,authority} v1.35 (clocks of five minutes late are borne, short lives are not cut).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from k3py.pki.authority import authority_key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from k3py.pki.authority import KeyPair

_BACKDATE: Final = dt.timedelta(minutes=5)
_SHORT: Final = dt.timedelta(hours=8)
_KEY_USAGES: Final = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "data encipherment": "data_encipherment",
    "key agreement": "key_agreement",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
}
_EXTENDED: Final = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft sgc": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
}


def issue(
    authority: KeyPair,
    request: x509.CertificateSigningRequest,
    *,
    usages: Iterable[str],
    lifetime_s: int,
    now: dt.datetime,
) -> bytes:
    """Return the certificate (PEM, leaf alone) for the request's subject, alternative names and key; other extensions are ignored.

    It never outlives the authority and is never an authority itself.

    Raises:
        ValueError: the request is not signed by its own key, or its key is of a kind that cannot be certified.
    """
    if not request.is_signature_valid:
        raise ValueError("the request is not signed by its own key")
    ca = x509.load_pem_x509_certificate(authority.certificate)
    key = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError("the authority's key is of a kind that cannot sign")  # noqa: TRY004 - a file's content, not a type
    starts = now - _BACKDATE
    lifetime = dt.timedelta(seconds=lifetime_s)
    ends = now + lifetime if lifetime < _SHORT else starts + lifetime
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(min(ends, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    usages = tuple(usages)
    granted = {_KEY_USAGES[one]: True for one in usages if one in _KEY_USAGES}
    if granted:
        builder = builder.add_extension(_key_usage(granted), critical=True)
    extended = list(dict.fromkeys(_EXTENDED[one] for one in usages if one in _EXTENDED))
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    builder = builder.add_extension(authority_key_of(ca), critical=False)
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, critical=names.critical)
    except x509.ExtensionNotFound:
        pass
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    leaf = builder.sign(cast("CertificateIssuerPrivateKeyTypes", key), algorithm)
    return leaf.public_bytes(serialization.Encoding.PEM)


def _key_usage(granted: dict[str, bool]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=granted.get("digital_signature", False),
        content_commitment=granted.get("content_commitment", False),
        key_encipherment=granted.get("key_encipherment", False),
        data_encipherment=granted.get("data_encipherment", False),
        key_agreement=granted.get("key_agreement", False),
        key_cert_sign=False,
        crl_sign=granted.get("crl_sign", False),
        encipher_only=False,
        decipher_only=False,
    )
