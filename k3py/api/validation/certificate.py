"""Requests for certificates and certificates in specs, and who signs them.

Source: kubernetes/pkg/apis/certificates/validation/validation.go and pkg/apis/core/validation (ValidateSignerName) v1.35.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, invalid_value, not_supported, required, too_long
from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.validation.scalar import check_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import CertificateSigningRequest

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_LEAST_EXPIRATION_S: Final = 600
_LEGACY_UNKNOWN: Final = "kubernetes.io/legacy-unknown"
_MAX_DOMAIN: Final = 253
_MAX_PATH: Final = 253 + 63 + 1
_HIDDEN: Final = "<certificate data>"
_PEM_TYPE: Final = re.compile(rb"-----BEGIN ([^-\n]*)-----")
_USAGES: Final = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)


def parse_request(encoded: str) -> CertificateSigningRequest:
    """Return the PKCS#10 request in base64 of PEM.

    Raises:
        ValueError: it is none.
    """
    from cryptography.x509 import load_pem_x509_csr  # noqa: PLC0415 - only clusters that sign need it here

    pem = _decode(encoded)
    match = _PEM_TYPE.search(pem)
    if match is None or match[1] != b"CERTIFICATE REQUEST":
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    return load_pem_x509_csr(pem[match.start() :])


def validate_request_spec(spec: JsonObject) -> list[FieldError]:
    """Check what a client asks for."""
    errors: list[FieldError] = []
    try:
        parse_request(spec.get("request") or "")
    except ValueError as error:
        errors.append(
            invalid_value("spec.request", spec.get("request") or "", f"unable to parse csr: {error}")
        )
    errors += _validate_usages(spec.get("usages") or ())
    signer = spec.get("signerName") or ""
    if signer == _LEGACY_UNKNOWN:
        detail = "the legacy signerName is not allowed via this API version"
        errors.append(invalid_value("spec.signerName", signer, detail))
    else:
        errors += validate_signer_name(signer, "spec.signerName")
    expiration_s = spec.get("expirationSeconds")
    if expiration_s is not None and expiration_s < _LEAST_EXPIRATION_S:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.append(invalid_value("spec.expirationSeconds", expiration_s, detail))
    return errors


def _validate_usages(usages: Sequence[str]) -> list[FieldError]:
    if not usages:
        return [required("spec.usages")]
    errors: list[FieldError] = []
    for index, usage in enumerate(usages):
        path = f"spec.usages[{index}]"
        if usage not in _USAGES:
            errors.append(not_supported(path, usage, _USAGES))
        if usage in usages[:index]:
            errors.append(duplicate(path, usage))
    return errors


def validate_signer_name(name: str, path: str) -> list[FieldError]:
    """Check a name of the form example.com/signer."""
    if not name:
        return [required(path)]
    parts = name.split("/")
    if len(parts) != 2:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid_value(path, name, detail)]
    domain, signer = parts
    errors: list[FieldError] = []
    if len(domain) > _MAX_DOMAIN:
        errors.append(too_long(path, _MAX_DOMAIN))
    labels = domain.split(".")
    if len(labels) < 2:
        errors.append(
            invalid_value(path, domain, "should be a domain with at least two segments separated by dots")
        )
    for label in labels:
        errors += check_text(label, path, find_label_faults)
    if len(signer) > _MAX_PATH:
        errors.append(too_long(path, _MAX_PATH))
    for label in signer.split("."):
        errors += check_text(label, path, find_subdomain_faults)
    return errors


def validate_certificate(encoded: str, path: str) -> list[FieldError]:
    """Check an issued chain in base64 of PEM; none at all is fine. The value is not repeated in the answer."""
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - see parse_request

    if not encoded:
        return []
    try:
        pem = _decode(encoded)
        load_pem_x509_certificates(pem)
    except ValueError as error:
        return [invalid_value(path, _HIDDEN, str(error))]
    if any(kind != b"CERTIFICATE" for kind in _PEM_TYPE.findall(pem)):
        return [invalid_value(path, _HIDDEN, "only CERTIFICATE PEM blocks are allowed")]
    return []


def _decode(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
