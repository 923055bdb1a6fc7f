"""Service-account keys: the first signs, all verify (L-21). The one door to PyJWT.

Source: kubernetes/pkg/serviceaccount v1.35 (RS256, kid = URL-safe base64 of SHA-256 over the DER public key).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from k3py.pki.errors import InvalidToken, PkiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

_PEM: Final = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n?", re.DOTALL)
_KEY_BITS: Final = 2048
LEGACY_ISSUER: Final = "kubernetes/serviceaccount"  # of tokens in Secrets, which live as long as these


@dataclass(frozen=True, slots=True)
class _Key:
    key_id: str
    private: rsa.RSAPrivateKey | None
    public: rsa.RSAPublicKey


class ServiceAccountKeys:
    """Signs and verifies service-account tokens of one issuer."""

    __slots__ = ("_by_id", "_keys", "issuer", "issuers")

    def __init__(
        self, pem: bytes, *, issuer: str, formerly: Sequence[str] = (), source: str = "service.key"
    ) -> None:
        """Read one or more PEM keys, private or public; tokens of issuers of before are accepted, too; `source` is named in errors.

        Raises:
            PkiError: nothing usable in `pem`, or the first key cannot sign.
        """
        self.issuer = issuer
        self.issuers = (issuer, *formerly)
        self._keys = tuple(_read_key(one, source) for one in _PEM.findall(pem))
        if not self._keys or self._keys[0].private is None:
            raise PkiError(f"{source}: must begin with a private RSA key")
        self._by_id = {one.key_id: one for one in self._keys}

    def sign(self, claims: JsonObject) -> str:
        """Return a signed JWT of `claims` (the caller sets all of them, `iss` too)."""
        key = self._keys[0]
        if key.private is None:  # checked in the constructor; for the type checker
            raise PkiError("no signing key")
        return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.key_id})

    def verify(self, token: str, *, audiences: Sequence[str]) -> JsonObject:
        """Return the claims of a token that we signed, not expired, for one of `audiences`.

        One of the legacy issuer never ends and names no audience: its Secret must be looked at.

        Raises:
            InvalidToken: it is not.
        """
        try:
            key = self._by_id.get(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise InvalidToken("token is signed by an unknown key")
            if _issuer_of(token) == LEGACY_ISSUER:
                claims: JsonObject = jwt.decode(token, key.public, algorithms=["RS256"], issuer=LEGACY_ISSUER)
                return claims
            claims = jwt.decode(
                token,
                key.public,
                algorithms=["RS256"],
                audience=list(audiences),
                issuer=self.issuers,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise InvalidToken(f"token is not valid: {type(error).__name__}") from None
        return claims

    def is_ours(self, token: str) -> bool:
        """Say whether a bearer token names our issuer, without trusting it."""
        return _issuer_of(token) in (*self.issuers, LEGACY_ISSUER)

    def jwks(self) -> JsonObject:
        """Return the public keys as a JSON Web Key Set."""
        return {"keys": [_to_jwk(one) for one in self._keys]}


def make_service_account_key() -> bytes:
    """Make a new private RSA key as PEM; takes some 100 ms of CPU, so call it off the loop."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _issuer_of(token: str) -> str:
    """Return who a token claims to be from; nothing is verified."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        return ""
    return issuer if isinstance(issuer, str) else ""


def _read_key(pem: bytes, source: str) -> _Key:
    try:
        if b"PUBLIC" in pem:
            private, public = None, serialization.load_pem_public_key(pem)
        else:
            private = serialization.load_pem_private_key(pem, None)
            public = private.public_key()
    except (ValueError, TypeError) as error:
        raise PkiError(f"{source}: holds a key that cannot be read ({type(error).__name__})") from None
    if not isinstance(public, rsa.RSAPublicKey) or not isinstance(private, rsa.RSAPrivateKey | None):
        raise PkiError(f"{source}: must hold RSA keys")
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _Key(_base64url(hashlib.sha256(der).digest()), private, public)


def _to_jwk(key: _Key) -> JsonObject:
    numbers = key.public.public_numbers()
    return {
        "use": "sig",
        "kty": "RSA",
        "kid": key.key_id,
        "alg": "RS256",
        "n": _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        "e": _base64url(numbers.e.to_bytes(3, "big")),
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
