"""Signs ConfigMap kube-public/cluster-info with every bootstrap token, so that who holds one can trust what it reads there unasked.

Source: kubernetes/pkg/controller/bootstrap/bootstrapsigner.go and cluster-bootstrap/token/jws v1.35 (detached JWS, HS256).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.object import deep_copy
from k3py.api.resource import CONFIG_MAPS, SECRETS
from k3py.controllers.identity.bootstrap_token import (
    LONGEST_SLEEP_S,
    NAMESPACE,
    SELECTOR,
    find_expiration,
    find_signing_key,
)
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_PUBLIC: Final = "kube-public"
_INFO: Final = "cluster-info"
_SIGNED: Final = "kubeconfig"
_PREFIX: Final = "jws-kubeconfig-"


class BootstrapSigner:
    """See the module; there is one key."""

    name = "bootstrap-signer-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        maps = context.informers.informer(CONFIG_MAPS, field_selector=f"metadata.name={_INFO}")
        secrets = context.informers.informer(SECRETS, field_selector=SELECTOR)
        self._maps, self._secrets = maps.lister, secrets.lister
        self.watches = (Watch(maps, _always), Watch(secrets, _always))

    async def reconcile(self, key: str) -> float | None:
        """Bring the signatures in line with text and tokens."""
        found = self._maps.find(_PUBLIC, key)
        if found is None:
            return None
        data = found.get("data") or {}
        now = clock.now()
        secrets = self._secrets.list(NAMESPACE)
        wanted = {}
        if _SIGNED in data:
            signing = filter(None, (find_signing_key(one, now) for one in secrets))
            wanted = {
                f"{_PREFIX}{name}": sign_detached(data[_SIGNED], name, token) for name, token in signing
            }
        rest = {name: value for name, value in data.items() if not name.startswith(_PREFIX)}
        if rest | wanted != data:
            changed = deep_copy(found)
            changed["data"] = rest | wanted
            await self._client.update(CONFIG_MAPS, changed)
        ends = [end for one in secrets if (end := find_expiration(one)) is not None and end > now]
        return min(LONGEST_SLEEP_S, (min(ends) - now).total_seconds()) if wanted and ends else None


def sign_detached(text: str, token_id: str, token_secret: str) -> str:
    """Return the JWS of a text, its payload left out; the key is the token's secret half."""
    header = _base64url(orjson.dumps({"alg": "HS256", "kid": token_id}))
    signed = f"{header}.{_base64url(text.encode())}".encode()
    return f"{header}..{_base64url(hmac.new(token_secret.encode(), signed, hashlib.sha256).digest())}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _always(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    obj = new if new is not None else old
    return (_INFO,) if obj is not None and obj["metadata"]["namespace"] in (NAMESPACE, _PUBLIC) else ()


def build(context: ControllerContext) -> BootstrapSigner:
    """Make the controller."""
    return BootstrapSigner(context)
