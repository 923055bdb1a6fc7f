"""Client certificates: common name → user, organisations → groups. TLS has verified them against the client CA already.

Source: k8s.io/apiserver/pkg/authentication/request/x509/x509.go v0.35.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from k3py.api.user import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from k3py.apiserver.interface import Authenticator, Credentials

CREDENTIAL_ID: Final = "authentication.kubernetes.io/credential-id"
_CACHE_SIZE: Final = 256


class X509Authenticator:
    """Reads the subject of verified leaves; the last few hundred are remembered.

    `is_foreign` tells certificates that TLS accepts too, but that make nobody a user (front proxies').
    """

    def __init__(self, is_foreign: Callable[[Credentials], bool] = lambda _: False) -> None:
        self._is_foreign = is_foreign
        self._users: OrderedDict[bytes, User] = OrderedDict()

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the certificate's user, None without a certificate or a common name."""
        der = credentials.peer_certificate
        if not der or self._is_foreign(credentials):
            return None
        user = self._users.get(der)
        if user is not None:
            self._users.move_to_end(der)
            return user
        user = _read(der)
        if user is not None:
            self._users[der] = user
            if len(self._users) > _CACHE_SIZE:
                self._users.popitem(last=False)
        return user


def common_name_of(der: bytes) -> str:
    """Return the common name of a certificate, "" = it has none."""
    user = _read(der)
    return user.name if user is not None else ""


def _read(der: bytes) -> User | None:
    from cryptography import x509  # noqa: PLC0415 - heavy
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    certificate: Certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        return None
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    fingerprint = hashlib.sha256(der).hexdigest()
    return User(
        name=str(names[-1].value),
        groups=tuple(str(one.value) for one in groups),
        extra={CREDENTIAL_ID: (f"X509SHA256={fingerprint}",)},
    )


if TYPE_CHECKING:

    def _check(one: X509Authenticator) -> Authenticator:
        return one
