"""Fills Secrets of type kubernetes.io/service-account-token, and removes them with their account.

Source: kubernetes/pkg/controller/serviceaccount/tokens_controller.go, pkg/serviceaccount/legacy.go v1.35.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import SECRETS, SERVICE_ACCOUNTS
from k3py.api.status import ApiError
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

TYPE: Final = "kubernetes.io/service-account-token"
NAME: Final = "kubernetes.io/service-account.name"
UID: Final = "kubernetes.io/service-account.uid"
_ISSUER: Final = "kubernetes/serviceaccount"
_CLAIM: Final = "kubernetes.io/serviceaccount/"
_ACCOUNT_INDEX: Final = "service-account"


class AccountTokens:
    """See the module. Keys: "secret/<namespace>/<name>" and "account/<namespace>/<name>"."""

    name = "serviceaccount-token-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._signer = context.token_signer
        self._root_ca = base64.b64encode(context.root_ca.encode()).decode()
        secrets = context.informers.informer(SECRETS, field_selector=f"type={TYPE}")
        secrets.add_index(_ACCOUNT_INDEX, _account_of)
        accounts = context.informers.informer(SERVICE_ACCOUNTS)
        self._secrets, self._accounts = secrets.lister, accounts.lister
        self.watches = (Watch(secrets, _keys_of_secret), Watch(accounts, _keys_of_account))

    async def reconcile(self, key: str) -> float | None:
        """Bring a Secret in line with its account, or what an account names in line with the Secrets."""
        what, namespace, name = key.split("/", 2)
        if what == "account":
            for secret in self._secrets.by_index(_ACCOUNT_INDEX, f"{namespace}/{name}"):
                await self._fill(secret)
            return None
        found = self._secrets.find(namespace, name)
        if found is not None:
            await self._fill(found)
        else:
            await self._forget(namespace, name)
        return None

    async def _fill(self, secret: JsonObject) -> None:
        metadata = secret["metadata"]
        namespace = metadata["namespace"]
        annotations = metadata.get("annotations") or {}
        if "deletionTimestamp" in metadata or self._signer is None:
            return
        account = await self._find_account(namespace, annotations.get(NAME) or "")
        uid = annotations.get(UID) or ""
        if account is None or (uid and uid != account["metadata"]["uid"]):
            await self._delete(secret)
            return
        data = secret.get("data") or {}
        wanted = {"ca.crt": self._root_ca, "namespace": base64.b64encode(namespace.encode()).decode()}
        right = all(data.get(one) == value for one, value in wanted.items())
        if right and data.get("token") and uid == account["metadata"]["uid"]:
            return
        changed = deep_copy(secret)
        changed["metadata"].setdefault("annotations", {})[UID] = account["metadata"]["uid"]
        changed.setdefault("data", {}).update(wanted)
        if not data.get("token"):
            token = self._signer.sign(legacy_claims(account, metadata["name"]))
            changed["data"]["token"] = base64.b64encode(token.encode()).decode()
        try:
            await self._client.update(SECRETS, changed)
        except ApiError as error:
            if error.code not in (403, 404):  # 403: the namespace ends
                raise

    async def _find_account(self, namespace: str, name: str) -> JsonObject | None:
        """Ask the API when the lister does not know it: the Secret may have come at the same moment."""
        found = self._accounts.find(namespace, name)
        if found is not None or not name:
            return found
        try:
            return await self._client.get(SERVICE_ACCOUNTS, name, namespace=namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    async def _delete(self, secret: JsonObject) -> None:
        metadata = secret["metadata"]
        try:
            await self._client.delete(
                SECRETS,
                metadata["name"],
                namespace=metadata["namespace"],
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        except ApiError as error:
            if error.code != 404:
                raise

    async def _forget(self, namespace: str, name: str) -> None:
        """Take a Secret that is gone from the lists of accounts."""
        for account in self._accounts.list(namespace):
            kept = [one for one in account.get("secrets") or () if one.get("name") != name]
            if len(kept) == len(account.get("secrets") or ()):
                continue
            changed = deep_copy(account)
            if kept:
                changed["secrets"] = kept
            else:
                del changed["secrets"]
            await self._client.update(SERVICE_ACCOUNTS, changed)


def legacy_claims(account: JsonObject, secret: str) -> JsonObject:
    """Return the claims of a token that lives as long as its Secret."""
    metadata = account["metadata"]
    return {
        "iss": _ISSUER,
        f"{_CLAIM}namespace": metadata["namespace"],
        f"{_CLAIM}secret.name": secret,
        f"{_CLAIM}service-account.name": metadata["name"],
        f"{_CLAIM}service-account.uid": metadata["uid"],
        "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
    }


def _account_of(secret: JsonObject) -> tuple[str, ...]:
    name = (secret["metadata"].get("annotations") or {}).get(NAME)
    return (f"{secret['metadata']['namespace']}/{name}",) if name else ()


def _keys_of_secret(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return _key("secret", old, new)


def _keys_of_account(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return _key("account", old, new)


def _key(what: str, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    obj = new if new is not None else old
    return (f"{what}/{obj['metadata']['namespace']}/{obj['metadata']['name']}",) if obj is not None else ()


def build(context: ControllerContext) -> AccountTokens:
    """Make the controller."""
    return AccountTokens(context)
