"""Verifies JWTs of other issuers by their JSON Web Key Set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import jwt

from k3py.pki.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

_LEEWAY_S: Final = 0.0
_LONGEST: Final = 64 * 1024


class KeyUnknown(InvalidToken):
    """The token is signed by a key that is not in the set: the set may have changed."""


class KeySet:
    """Public keys, by their id; keys without one are tried in order."""

    def __init__(self, document: JsonObject) -> None:
        """Read a JWKS; keys of kinds that are not for signatures are left out.

        Raises:
            InvalidToken: there is no usable key in it.
        """
        try:
            found = jwt.PyJWKSet.from_dict(document).keys
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError) as error:
            raise InvalidToken(f"the issuer's keys cannot be read: {type(error).__name__}") from error
        self._keys = [one for one in found if one.public_key_use in (None, "sig")]

    def verify(
        self, token: str, *, issuer: str, audiences: Sequence[str], algorithms: Sequence[str]
    ) -> JsonObject:
        """Return the claims of a token that is valid now.

        Raises:
            KeyUnknown: no key fits.
            InvalidToken: everything else.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in algorithms:
                raise InvalidToken("the token is signed by an algorithm that is not allowed")
            key_id = header.get("kid")
            fitting = [one for one in self._keys if key_id is None or one.key_id in (key_id, None)]
            for one in fitting:
                if one.algorithm_name != header["alg"] and one.key_type != _KEY_TYPES[header["alg"][:2]]:
                    continue
                try:
                    claims: JsonObject = jwt.decode(
                        token,
                        one.key,
                        algorithms=[header["alg"]],
                        audience=list(audiences),
                        issuer=issuer,
                        leeway=_LEEWAY_S,
                        options={"require": ["exp"]},
                    )
                except jwt.InvalidSignatureError:
                    continue
                return claims
        except jwt.PyJWTError as error:
            raise InvalidToken(f"token is not valid: {type(error).__name__}") from None
        raise KeyUnknown("token is signed by an unknown key")


_KEY_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC"}


def issuer_of(token: str) -> str:
    """Return who a token claims to be from, "" when it is no JWT; nothing is verified."""
    if len(token) > _LONGEST:
        return ""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        return ""
    return issuer if isinstance(issuer, str) else ""
