"""Ways to seal a document: one class a provider of an EncryptionConfiguration, in the bytes that kube-apiserver writes.

What is sealed begins with `k8s:enc:<provider>:v1:<key's name>:`. The one door to PyNaCl, which is loaded for secretbox only.
Source: k8s.io/apiserver/pkg/storage/value/encrypt/{aes,secretbox,identity} v0.35.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from k3py.storage.encryption.errors import SealBroken

if TYPE_CHECKING:
    from collections.abc import Callable

MARK: Final = b"k8s:enc:"
_BLOCK: Final = 16
_NONCE: Final = 12


class Provider(Protocol):
    """Seals and opens under one key.

    Attributes:
        name: of the key, "" for identity.
        prefix: what sealed documents begin with; b"" for identity.
    """

    name: str
    prefix: bytes

    def seal(self, key: bytes, data: bytes) -> bytes:
        """Return `data` sealed for the datastore key `key`."""

    def open(self, key: bytes, data: bytes) -> bytes:
        """Return what was sealed; raises SealBroken."""


class Plain:
    """The provider `identity`: no encryption."""

    name = ""
    prefix = b""

    def seal(self, key: bytes, data: bytes) -> bytes:
        """Return `data`."""
        return data

    def open(self, key: bytes, data: bytes) -> bytes:
        """Return `data`."""
        return data


class AesCbc:
    """The provider `aescbc`: AES in CBC mode, PKCS #7 padding, a random IV in front."""

    def __init__(self, name: str, secret: bytes) -> None:
        self.name = name
        self.prefix = _prefix("aescbc", name)
        self._secret = secret

    def seal(self, key: bytes, data: bytes) -> bytes:
        """See Provider."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - when encryption is on

        vector = os.urandom(_BLOCK)
        missing = _BLOCK - len(data) % _BLOCK
        encryptor = Cipher(algorithms.AES(self._secret), modes.CBC(vector)).encryptor()
        sealed = encryptor.update(data + bytes((missing,)) * missing) + encryptor.finalize()
        return self.prefix + vector + sealed

    def open(self, key: bytes, data: bytes) -> bytes:
        """See Provider."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - when encryption is on

        body = data[len(self.prefix) :]
        vector, sealed = body[:_BLOCK], body[_BLOCK:]
        if not sealed or len(sealed) % _BLOCK:
            raise SealBroken("the stored data is not whole blocks")
        decryptor = Cipher(algorithms.AES(self._secret), modes.CBC(vector)).decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
        missing = padded[-1]
        if not 0 < missing <= _BLOCK or padded[-missing:] != bytes((missing,)) * missing:
            raise SealBroken("the stored data does not end as it was padded")
        return padded[:-missing]


class AesGcm:
    """The provider `aesgcm`: AES in GCM mode; the datastore key is authenticated, so nothing can be moved to another name."""

    def __init__(self, name: str, secret: bytes) -> None:
        self.name = name
        self.prefix = _prefix("aesgcm", name)
        self._secret = secret

    def seal(self, key: bytes, data: bytes) -> bytes:
        """See Provider."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - when encryption is on

        nonce = os.urandom(_NONCE)
        return self.prefix + nonce + AESGCM(self._secret).encrypt(nonce, data, key)

    def open(self, key: bytes, data: bytes) -> bytes:
        """See Provider."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - when encryption is on
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - when encryption is on

        body = data[len(self.prefix) :]
        try:
            return AESGCM(self._secret).decrypt(body[:_NONCE], body[_NONCE:], key)
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the stored data was changed, or sealed with another key") from error


class SecretBox:
    """The provider `secretbox`: XSalsa20 and Poly1305, a random nonce in front."""

    def __init__(self, name: str, secret: bytes) -> None:
        self.name = name
        self.prefix = _prefix("secretbox", name)
        self._secret = secret

    def seal(self, key: bytes, data: bytes) -> bytes:
        """See Provider."""
        from nacl.secret import SecretBox as Box  # noqa: PLC0415 - when this provider is chosen

        return self.prefix + bytes(Box(self._secret).encrypt(data))

    def open(self, key: bytes, data: bytes) -> bytes:
        """See Provider."""
        from nacl.exceptions import CryptoError  # noqa: PLC0415 - when this provider is chosen
        from nacl.secret import SecretBox as Box  # noqa: PLC0415 - when this provider is chosen

        try:
            return Box(self._secret).decrypt(data[len(self.prefix) :])
        except (CryptoError, ValueError) as error:
            raise SealBroken("the stored data was changed, or sealed with another key") from error


def _prefix(provider: str, name: str) -> bytes:
    return MARK + f"{provider}:v1:{name}:".encode()


KEYED: Final[dict[str, tuple[Callable[[str, bytes], Provider], tuple[int, ...]]]] = {
    "aescbc": (AesCbc, (16, 24, 32)),
    "aesgcm": (AesGcm, (16, 24, 32)),
    "secretbox": (SecretBox, (32,)),
}
"""Provider → its class, and the lengths in bytes that its secrets may have."""
