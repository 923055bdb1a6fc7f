"""Service-account tokens: a valid signature is not enough, the account and what the token is bound to must still exist.

Source: k8s.io/kubernetes/pkg/serviceaccount/{claims,legacy}.go v1.35.
"""

from __future__ import annotations

import base64
import hmac
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.status import unauthorized
from k3py.api.user import User
from k3py.apiserver.authn.x509 import CREDENTIAL_ID
from k3py.errors import K3pyError
from k3py.storage.errors import ObjectNotFound, StorageError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import Authenticator, Credentials
    from k3py.apiserver.registry.seams import TokenVerifier
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Storage

log = logging.getLogger(__name__)

USER_PREFIX: Final = "system:serviceaccount:"
ALL_ACCOUNTS: Final = "system:serviceaccounts"
_EXTRA: Final = "authentication.kubernetes.io/"
_LEGACY: Final = "kubernetes.io/serviceaccount/"
_TOKEN_TYPE: Final = "kubernetes.io/service-account-token"
_LAST_USED: Final = "kubernetes.io/legacy-token-last-used"
_INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"


class ServiceAccountAuthenticator:
    """Verifies tokens of our issuer.

    Args:
        verifier: knows the keys.
        storage, kinds: where accounts, pods, secrets and nodes are.
        audiences: what a token must be for (the API's own names).
    """

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        storage: Storage,
        kinds: KindRegistry,
        audiences: Sequence[str],
    ) -> None:
        self._verifier = verifier
        self._storage = storage
        self._kinds = kinds
        self._audiences = tuple(audiences)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the token's account, None for tokens that are not ours. Raises ApiError 401."""
        token = credentials.bearer
        if not token or not self.is_ours(token):
            return None
        user, _ = await self.review(token, self._audiences)
        return user

    def is_ours(self, token: str) -> bool:
        """Say whether a token names our issuer, without trusting it."""
        return self._verifier.is_ours(token)

    async def review(self, token: str, audiences: Sequence[str]) -> tuple[User, tuple[str, ...]]:
        """Return the account of a token and those of `audiences` that it is for. Raises ApiError 401."""
        try:
            claims = self._verifier.verify(token, audiences=audiences)
        except K3pyError as error:
            raise unauthorized() from error
        if f"{_LEGACY}secret.name" in claims:  # made for the API server, in times without audiences
            both = tuple(one for one in audiences if one in self._audiences)
            if not both:
                raise unauthorized()
            return await self._check_legacy(claims, token), both
        user = await self._check(claims)
        own = claims.get("aud") or ()
        own = (own,) if isinstance(own, str) else own
        return user, tuple(one for one in audiences if one in own)

    async def _check(self, claims: JsonObject) -> User:
        private = claims.get("kubernetes.io") or {}
        namespace = private.get("namespace", "")
        account = private.get("serviceaccount") or {}
        name, uid = account.get("name", ""), account.get("uid", "")
        if not namespace or not name or claims.get("sub") != f"{USER_PREFIX}{namespace}:{name}":
            raise unauthorized()
        await self._require("serviceaccounts", namespace, name, uid)
        extra: dict[str, tuple[str, ...]] = {}
        if claims.get("jti"):
            extra[CREDENTIAL_ID] = (f"JTI={claims['jti']}",)
        if secret := private.get("secret"):
            await self._require("secrets", namespace, secret.get("name", ""), secret.get("uid", ""))
        if pod := private.get("pod"):
            await self._require("pods", namespace, pod.get("name", ""), pod.get("uid", ""))
            extra[f"{_EXTRA}pod-name"] = (pod.get("name", ""),)
            extra[f"{_EXTRA}pod-uid"] = (pod.get("uid", ""),)
        if node := private.get("node"):
            if not pod:  # bound to the node itself
                await self._require("nodes", "", node.get("name", ""), node.get("uid", ""))
            extra[f"{_EXTRA}node-name"] = (node.get("name", ""),)
            if node.get("uid"):
                extra[f"{_EXTRA}node-uid"] = (node["uid"],)
        return service_account_user(namespace, name, uid, extra)

    async def _check_legacy(self, claims: JsonObject, token: str) -> User:
        """Such a token is as good as its Secret: still there, still holding it, not marked invalid."""
        namespace, secret, name, uid = (
            str(claims.get(f"{_LEGACY}{one}") or "")
            for one in ("namespace", "secret.name", "service-account.name", "service-account.uid")
        )
        if not all((namespace, secret, name, uid)) or claims.get("sub") != f"{USER_PREFIX}{namespace}:{name}":
            raise unauthorized()
        found = (await self._find("secrets", namespace, secret)).parsed
        held = (found.get("data") or {}).get("token") or ""
        metadata = found["metadata"]
        if (
            found.get("type") != _TOKEN_TYPE
            or not hmac.compare_digest(held.encode(), base64.b64encode(token.encode()))
            or metadata.get("deletionTimestamp")
            or (metadata.get("labels") or {}).get(_INVALID_SINCE)
        ):
            raise unauthorized()
        await self._require("serviceaccounts", namespace, name, uid)
        await self._note_use(namespace, secret, found)
        return service_account_user(namespace, name, uid)

    async def _note_use(self, namespace: str, name: str, secret: JsonObject) -> None:
        """Write down, once a day, that a token is in use, so that it is not taken for a forgotten one."""
        today = clock.now().strftime("%Y-%m-%d")
        kind = self._kinds.find("", "v1", "secrets")
        if kind is None or (secret["metadata"].get("labels") or {}).get(_LAST_USED) == today:
            return

        async def note(view: ObjectView) -> JsonObject:
            changed: JsonObject = deep_copy(view.parsed)
            changed["metadata"].setdefault("labels", {})[_LAST_USED] = today
            return changed

        try:
            await (await self._storage.store_for(kind)).update(namespace, name, note)
        except StorageError as error:  # a full disk must not lock anybody out
            log.warning("the use of a token cannot be noted", extra={"secret": name, "why": str(error)})

    async def _require(self, plural: str, namespace: str, name: str, uid: str) -> None:
        if (await self._find(plural, namespace, name)).uid != uid:
            raise unauthorized()

    async def _find(self, plural: str, namespace: str, name: str) -> ObjectView:
        kind = self._kinds.find("", "v1", plural)
        if kind is None:
            raise unauthorized()
        store = await self._storage.store_for(kind)
        try:
            return await store.get(namespace, name, any_cached=True)
        except ObjectNotFound as error:
            raise unauthorized() from error


def service_account_user(
    namespace: str, name: str, uid: str = "", extra: dict[str, tuple[str, ...]] | None = None
) -> User:
    """Return the identity of a service account."""
    return User(
        name=f"{USER_PREFIX}{namespace}:{name}",
        uid=uid,
        groups=(ALL_ACCOUNTS, f"{ALL_ACCOUNTS}:{namespace}"),
        extra=extra or {},
    )


if TYPE_CHECKING:

    def _check(one: ServiceAccountAuthenticator) -> Authenticator:
        return one
