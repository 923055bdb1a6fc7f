"""Chains of authorities in one file: from the one that signs to its root."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature


def find_root(bundle: bytes) -> x509.Certificate | None:
    """Return the root that the first certificate of a bundle chains to; None when others are in it that are not of that chain."""
    left = x509.load_pem_x509_certificates(bundle)
    at = left.pop(0)
    while left:
        issuer = next((one for one in left if _issued(one, at)), None)
        if issuer is None:
            return None
        left.remove(issuer)
        at = issuer
    return at


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
