"""Certificate authorities and the leaves that they sign (EC P-256, L-27, L-28).

Pure but for randomness: PEM in, PEM out; `k3py.pki.layout` decides where they lie. The clocks of the machines that k3py is for are often
wrong (edge-needs.md §2.3): validity begins in 1970 and is reckoned from this release's day at the earliest, so that what is made by a clock
that stands still is of use when it goes.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from k3py.pki.errors import PkiError
from k3py.pki.tls import RENEW_BEFORE_DAYS
from k3py.util import clock
from k3py.version import RELEASED

if TYPE_CHECKING:
    from collections.abc import Sequence

CA_DAYS: Final = 3650
LEAF_DAYS: Final = 365
_BEGINNING: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_RELEASED: Final = dt.datetime.fromisoformat(RELEASED).replace(tzinfo=dt.UTC)
_SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

Usage = Literal["client", "server", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both PEM; `__repr__` keeps the key out of logs."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafRequest:
    """What a leaf shall say; `names` are host names or addresses for the subject alternative names."""

    common_name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    usage: Usage = "client"
    days: int = LEAF_DAYS


def make_authority(prefix: str, *, besides: bytes = b"") -> KeyPair:
    """Make a self-signed CA of ten years named `<prefix>-ca@<unix time>` (L-27), otherwise than those in `besides` (PEM)."""
    now = clock.now()
    taken = {one.subject for one in x509.load_pem_x509_certificates(besides)} if besides else set()
    stamp = int(now.timestamp())
    while (name := _name_of(f"{prefix}-ca@{stamp}")) in taken:  # chains are found by names
        stamp += 1
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGINNING)
        .not_valid_after(max(now, _RELEASED) + dt.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))


def _name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def cross_sign(new: KeyPair, old: KeyPair) -> KeyPair:
    """Return `new` with a certificate file that those who trust `old` believe: itself, itself signed by `old`, and `old`."""
    own = x509.load_pem_x509_certificate(new.certificate)
    ca = x509.load_pem_x509_certificate(old.certificate)
    key = serialization.load_pem_private_key(old.key, None)
    if not isinstance(key, _SigningKey):
        raise TypeError("only EC and RSA keys are supported")
    crossed = (
        x509.CertificateBuilder()
        .subject_name(own.subject)
        .issuer_name(ca.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(
            own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value, critical=False
        )
        .add_extension(authority_key_of(ca), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = new.certificate + crossed.public_bytes(serialization.Encoding.PEM) + old.certificate
    return KeyPair(certificate=chain, key=new.key)


def _presented(bundle: bytes) -> bytes:
    """Return what a server shows above its leaf: the way to the last root, without roots of which there is a cross-signed form."""
    certificates = x509.load_pem_x509_certificates(bundle)
    if len(certificates) == 1:
        return bundle
    shown = [one for one in certificates[:-1] if one.issuer != one.subject]
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (*shown, certificates[-1]))


def make_key() -> bytes:
    """Make a private key for a leaf, as PEM."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def find_pair_fault(pair: KeyPair) -> str:
    """Return why a certificate and its key cannot be used together, "" when they can."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
    except ValueError:
        return "the certificate is not PEM"
    try:
        key = serialization.load_pem_private_key(pair.key, None)
    except (ValueError, TypeError):
        return "the key is not PEM without a password"
    if not isinstance(key, _SigningKey):
        return "the key is neither an EC nor an RSA key"
    if key.public_key() != certificate.public_key():
        return "the key belongs to another certificate"
    return ""


def sign_leaf(authority: KeyPair, request: LeafRequest, *, key: bytes) -> bytes:
    """Sign a certificate for the public half of `key` (PEM, private); return the leaf followed by the CA, both PEM."""
    private = serialization.load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("only EC keys are supported")
    return _sign(authority, request, private.public_key())


def make_signing_request(key: bytes, common_name: str) -> bytes:
    """Return a certificate signing request (DER) for `key` (PEM, private)."""
    private = serialization.load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("only EC keys are supported")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def sign_request(authority: KeyPair, request: LeafRequest, signing_request: bytes) -> bytes:
    """Sign what `request` says for the key of a signing request (DER); its own subject is ignored (J-45).

    Raises:
        PkiError: no signing request, not signed by its own key, or another kind of key than EC.
    """
    try:
        parsed = x509.load_der_x509_csr(signing_request)
    except ValueError:
        raise PkiError("body: must be a certificate signing request in DER") from None
    public = parsed.public_key()
    if not parsed.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
        raise PkiError("body: must be a certificate signing request, signed by its own EC key")
    return _sign(authority, request, public)


def _sign(authority: KeyPair, request: LeafRequest, public: ec.EllipticCurvePublicKey) -> bytes:
    ca = x509.load_pem_x509_certificate(authority.certificate)
    ca_key = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(ca_key, _SigningKey):
        raise TypeError("only EC and RSA keys are supported")
    now = clock.now()
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in request.organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, request.common_name))
    ends = max(now, _RELEASED) + dt.timedelta(days=request.days)
    if (
        now < ca.not_valid_after_utc
    ):  # else the clock or the authority is past mending, and our own parts ask neither
        ends = min(ends, ca.not_valid_after_utc)
    starts = max(_BEGINNING, ca.not_valid_before_utc) if ca.not_valid_before_utc <= now else _BEGINNING
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(ca.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USAGES[request.usage]), critical=False)
        .add_extension(authority_key_of(ca), critical=False)
    )
    if request.names:
        names = x509.SubjectAlternativeName([_general_name(one) for one in request.names])
        builder = builder.add_extension(names, critical=False)
    leaf = builder.sign(ca_key, hashes.SHA256())
    return leaf.public_bytes(serialization.Encoding.PEM) + _presented(authority.certificate)


def authority_key_of(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return the extension by which a leaf names the key that signed it."""
    try:
        own = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())  # type: ignore[arg-type] # any CA key
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def find_leaf_fault(authority: KeyPair, request: LeafRequest, pair: KeyPair) -> str:
    """Say why a leaf must be made anew ("expires soon", "other issuer", …), or "" when it is as `request` wants it (J-86)."""
    try:
        leaf = x509.load_pem_x509_certificate(pair.certificate)
        ca = x509.load_pem_x509_certificate(authority.certificate)
        leaf.verify_directly_issued_by(ca)
    except Exception as error:  # noqa: BLE001 - unreadable in any way means: make it anew, and the log says why
        return f"not signed by the current authority ({type(error).__name__})"
    if leaf.not_valid_after_utc - clock.now() < dt.timedelta(days=RENEW_BEFORE_DAYS):
        return "expires soon"
    subject = leaf.subject
    found = (
        tuple(str(one.value) for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)),
        tuple(str(one.value) for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)),
    )
    if found != ((request.common_name,), request.organizations):
        return "another subject is wanted"
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        have = {str(one.value) for one in extension}
    except x509.ExtensionNotFound:
        have = set()
    if have != {str(_general_name(one).value) for one in request.names}:
        return "other names are wanted"
    return ""


_USAGES: Final = {
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "both": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
}


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def names_of(*groups: Sequence[str]) -> tuple[str, ...]:
    """Join names in order, each once, empty ones left out."""
    return tuple(dict.fromkeys(name for group in groups for name in group if name))
