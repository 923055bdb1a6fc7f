"""Seals bootstrap data by the password of the join token, in K3s' format (J-70, J-71). Pure but for randomness.

Key in the datastore: `/bootstrap/` and the first 12 hexadecimal digits of the password's SHA-256. Value: a salt of 16 hexadecimal digits, a colon, and the
base64 of a nonce of 12 bytes and the AES-256-GCM ciphertext; its key is PBKDF2-HMAC-SHA1 of password and salt (as text), 4096 rounds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from k3py.cluster.bootstrap_data.document import MOST_BYTES, BadBootstrapData

PREFIX: Final = b"/bootstrap/"
END: Final = b"/bootstrap0"
"""Behind the last key with the prefix."""

_DIGITS: Final = 12
_SALT_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_ROUNDS: Final = 4096
_KEY_BYTES: Final = 32


def key_for(password: str) -> bytes:
    """Return the key in the datastore under which this password's data lies."""
    return PREFIX + hashlib.sha256(password.encode()).hexdigest()[:_DIGITS].encode()


def seal(password: str, plain: bytes) -> bytes:
    """Encrypt."""
    salt = secrets.token_hex(_SALT_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(_derive(password, salt)).encrypt(nonce, plain, None)
    return salt.encode() + b":" + base64.b64encode(sealed)


def unseal(password: str, value: bytes) -> bytes:
    """Decrypt.

    Raises:
        BadBootstrapData: sealed by another password, changed, or not such data at all.
    """
    salt, _, encoded = value.partition(b":")
    if len(encoded) > 2 * MOST_BYTES:
        raise BadBootstrapData(f"bootstrap data: {len(encoded)} bytes: must be at most {2 * MOST_BYTES}")
    try:
        sealed = base64.b64decode(encoded, validate=True)
        nonce, cipher = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return AESGCM(_derive(password, salt.decode())).decrypt(nonce, cipher, None)
    except (binascii.Error, UnicodeDecodeError, ValueError, InvalidTag):
        raise BadBootstrapData(
            "bootstrap data in the datastore: was sealed by another token, or is damaged"
        ) from None


def _derive(password: str, salt: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha1", password.encode(), salt.encode(), _ROUNDS, _KEY_BYTES)
