"""Ends token Secrets of old clusters' making that nobody has used for a year: first marks them invalid, a year later removes them.

Only those are meant that an account lists among its secrets (made by a control plane before v1.24), not those that people made.
Source: kubernetes/pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go v1.35.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from k3py.api.resource import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from k3py.api.status import ApiError
from k3py.api.timestamps import parse_time
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

TRACKING: Final = "kube-apiserver-legacy-service-account-token-tracking"
LAST_USED: Final = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"
_TYPE: Final = "kubernetes.io/service-account-token"
_ACCOUNT: Final = "kubernetes.io/service-account.name"
_UNUSED: Final = dt.timedelta(days=365)
_LOOK_AGAIN_S: Final = 86400.0


class LegacyTokenCleaner:
    """See the module; keys are <namespace>/<name> of Secrets."""

    name = "legacy-serviceaccount-token-cleaner-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        secrets = context.informers.informer(SECRETS, field_selector=f"type={_TYPE}")
        accounts = context.informers.informer(SERVICE_ACCOUNTS)
        pods = context.informers.informer(PODS)
        self._secrets, self._accounts, self._pods = secrets.lister, accounts.lister, pods.lister
        self.watches = (Watch(secrets, _key_of), Watch(accounts, _nothing), Watch(pods, _nothing))

    async def reconcile(self, key: str) -> float | None:
        """Look at one Secret, and again a day later as long as it is one of those."""
        namespace, _, name = key.partition("/")
        secret = self._secrets.find(namespace, name)
        if secret is None or "deletionTimestamp" in secret["metadata"] or not self._is_listed(secret):
            return None
        long_ago = clock.now() - _UNUSED
        since = await self._tracked_since()
        if since is None or since > long_ago.date():
            return _LOOK_AGAIN_S
        metadata = secret["metadata"]
        labels = metadata.get("labels") or {}
        if parse_time(metadata["creationTimestamp"]) > long_ago or self._is_mounted(namespace, name):
            return _LOOK_AGAIN_S
        last_used, invalid_since = _date_of(labels.get(LAST_USED)), _date_of(labels.get(INVALID_SINCE))
        if last_used is not None and last_used > long_ago.date():
            if INVALID_SINCE in labels:
                await self._mark(secret, None)
            return _LOOK_AGAIN_S
        if invalid_since is None:
            await self._mark(secret, clock.now().strftime("%Y-%m-%d"))
        elif invalid_since <= long_ago.date():
            await self._delete(secret)
            return None
        return _LOOK_AGAIN_S

    def _is_listed(self, secret: JsonObject) -> bool:
        metadata = secret["metadata"]
        account = self._accounts.find(
            metadata["namespace"], (metadata.get("annotations") or {}).get(_ACCOUNT, "")
        )
        return account is not None and any(
            one.get("name") == metadata["name"] for one in account.get("secrets") or ()
        )

    def _is_mounted(self, namespace: str, name: str) -> bool:
        return any(
            (volume.get("secret") or {}).get("secretName") == name
            for pod in self._pods.list(namespace)
            for volume in pod["spec"].get("volumes") or ()
        )

    async def _tracked_since(self) -> dt.date | None:
        """Return since when the API server writes down which tokens are used."""
        try:
            found = await self._client.get(CONFIG_MAPS, TRACKING, namespace="kube-system")
        except ApiError as error:
            if error.code != 404:
                raise
            return None
        return _date_of((found.get("data") or {}).get("since"))

    async def _mark(self, secret: JsonObject, day: str | None) -> None:
        metadata = secret["metadata"]
        patch = {
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "labels": {INVALID_SINCE: day},
            }
        }
        await self._client.patch(
            SECRETS, metadata["name"], patch, patch_type=PatchType.MERGE, namespace=metadata["namespace"]
        )

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


def _date_of(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text or "")
    except ValueError:
        return None


def _key_of(_old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return (f"{new['metadata']['namespace']}/{new['metadata']['name']}",) if new is not None else ()


def _nothing(_old: JsonObject | None, _new: JsonObject | None) -> Iterable[str]:
    return ()


def build(context: ControllerContext) -> LegacyTokenCleaner:
    """Make the controller."""
    return LegacyTokenCleaner(context)
