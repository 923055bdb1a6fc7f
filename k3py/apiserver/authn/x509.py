"""Client certificates: common name → user, organisations → groups. TLS has verified them against the client CA already, but for dates.

Dates are checked here, at each request: a connection must not outlive its certificate. Nodes are let in after their certificate's end
as long as their Node object is there: the clock of one end may be wrong, and a key that was not replaced is still the node's.

Source: k8s.io/apiserver/pkg/authentication/request/x509/x509.go v0.35.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.status import unauthorized
from k3py.api.user import User
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from cryptography.x509 import Certificate

    from k3py.apiserver.interface import Authenticator, Credentials

CREDENTIAL_ID: Final = "authentication.kubernetes.io/credential-id"
_CACHE_SIZE: Final = 256
_NODE_PREFIX: Final = "system:node:"
_NODES: Final = "system:nodes"


@dataclass(frozen=True, slots=True)
class _Leaf:
    user: User
    starts: datetime
    ends: datetime

    def is_current(self) -> bool:
        return self.starts <= clock.now() <= self.ends


class X509Authenticator:
    """Reads the subject of verified leaves; the last few hundred are remembered.

    `is_foreign` tells certificates that TLS accepts too, but that make nobody a user (front proxies'); `has_node` whether there is a
    Node of a name.
    """

    def __init__(
        self,
        is_foreign: Callable[[Credentials], bool] = lambda _: False,
        has_node: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._is_foreign = is_foreign
        self._has_node = has_node
        self._users: OrderedDict[bytes, _Leaf] = OrderedDict()

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the certificate's user, None without a certificate or a common name. Raises ApiError 401: it has ended."""
        der = credentials.peer_certificate
        if not der or self._is_foreign(credentials):
            return None
        leaf = self._users.get(der)
        if leaf is not None:
            self._users.move_to_end(der)
        else:
            leaf = _read(der)
            if leaf is None:
                return None
            self._users[der] = leaf
            if len(self._users) > _CACHE_SIZE:
                self._users.popitem(last=False)
        if not leaf.is_current() and not await self._is_living_node(leaf.user):
            raise unauthorized()
        return leaf.user

    async def _is_living_node(self, user: User) -> bool:
        name = user.name.removeprefix(_NODE_PREFIX)
        is_node = name != user.name and _NODES in user.groups
        return is_node and self._has_node is not None and await self._has_node(name)


def common_name_of(der: bytes) -> str:
    """Return the common name of a certificate, "" = it has none, or has ended."""
    leaf = _read(der)
    return leaf.user.name if leaf is not None and leaf.is_current() else ""


def _read(der: bytes) -> _Leaf | None:
    from cryptography import x509  # noqa: PLC0415 - heavy
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    certificate: Certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        return None
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    fingerprint = hashlib.sha256(der).hexdigest()
    user = User(
        name=str(names[-1].value),
        groups=tuple(str(one.value) for one in groups),
        extra={CREDENTIAL_ID: (f"X509SHA256={fingerprint}",)},
    )
    return _Leaf(user, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


if TYPE_CHECKING:

    def _check(one: X509Authenticator) -> Authenticator:
        return one
