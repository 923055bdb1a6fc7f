"""Users that an authenticating proxy names in X-Remote-… headers; its certificate, of the front proxies' CA, makes them believed.

Source: k8s.io/apiserver/pkg/authentication/request/headerrequest v0.35.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import orjson

from k3py.api.user import User
from k3py.apiserver.authn.x509 import common_name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3py.apiserver.interface import Authenticator, Credentials

FRONT_PROXIES: Final = ("system:auth-proxy",)
_USER: Final = "X-Remote-User"
_UID: Final = "X-Remote-Uid"
_GROUP: Final = "X-Remote-Group"
_EXTRA: Final = "X-Remote-Extra-"


class FrontProxies:
    """Knows certificates of front proxies: their chain leads to the front proxies' CA, which client certificates' does not."""

    def __init__(self, authority: Path, client_authority: Path | None = None) -> None:
        own = _read_bundle(authority)
        self._authorities = own - (_read_bundle(client_authority) if client_authority is not None else set())

    def issued(self, credentials: Credentials) -> bool:
        """Say whether the certificate of a connection is a front proxy's."""
        return not self._authorities.isdisjoint(credentials.peer_authorities)


class RequestHeaderAuthenticator:
    """Believes the headers of front proxies with one of the `allowed` common names."""

    def __init__(self, proxies: FrontProxies, allowed: Sequence[str] = FRONT_PROXIES) -> None:
        self._proxies = proxies
        self._allowed = frozenset(allowed)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the user that a front proxy names, None for anybody else's request."""
        der, headers = credentials.peer_certificate, credentials.headers
        if not der or not self._proxies.issued(credentials):
            return None
        name = _first(headers, _USER)
        if not name or common_name_of(der) not in self._allowed:
            return None
        prefix = _EXTRA.lower()
        return User(
            name=name,
            uid=_first(headers, _UID),
            groups=tuple(headers.get(_GROUP.lower(), ())),
            extra={
                unquote(key.removeprefix(prefix)): tuple(values)
                for key, values in headers.items()
                if key.startswith(prefix)
            },
        )


def describe_authentication(
    client_authority: Path, authority: Path, allowed: Sequence[str] = FRONT_PROXIES
) -> dict[str, str]:
    """Return what extension API servers need to trust our front proxy and our clients.

    Source: k8s.io/kubernetes/pkg/controlplane/controller/clusterauthenticationtrust v1.35.
    """
    return {
        "client-ca-file": client_authority.read_text(),
        "requestheader-client-ca-file": authority.read_text(),
        "requestheader-allowed-names": orjson.dumps(list(allowed)).decode(),
        "requestheader-username-headers": f'["{_USER}"]',
        "requestheader-uid-headers": f'["{_UID}"]',
        "requestheader-group-headers": f'["{_GROUP}"]',
        "requestheader-extra-headers-prefix": f'["{_EXTRA}"]',
    }


def _first(headers: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(headers.get(name.lower(), ())), "").strip()


def _read_bundle(file: Path) -> set[bytes]:
    """Return the DER of all certificates of a PEM file."""
    end = "-----END CERTIFICATE-----"
    parts = file.read_text().split(end)[:-1]
    return {
        ssl.PEM_cert_to_DER_cert(part[part.index("-----BEGIN CERTIFICATE-----") :] + end) for part in parts
    }


if TYPE_CHECKING:

    def _check(one: RequestHeaderAuthenticator) -> Authenticator:
        return one
