"""Puts a ServiceAccount `default` into every namespace.

Source: kubernetes/pkg/controller/serviceaccount/serviceaccounts_controller.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import NAMESPACES, SERVICE_ACCOUNTS
from k3py.api.status import ApiError
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_NAME: Final = "default"


class ServiceAccountController:
    """See the module."""

    name = "serviceaccount-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        namespaces = context.informers.informer(NAMESPACES)
        accounts = context.informers.informer(SERVICE_ACCOUNTS)
        self._namespaces, self._accounts = namespaces.lister, accounts.lister
        self.watches = (Watch(namespaces, _names_of), Watch(accounts, _namespace_of_deleted))

    async def reconcile(self, key: str) -> float | None:
        """Make the account in namespace `key` if it is missing there."""
        namespace = self._namespaces.find("", key)
        if namespace is None or (namespace.get("status") or {}).get("phase") == "Terminating":
            return None
        if "deletionTimestamp" in namespace["metadata"] or self._accounts.find(key, _NAME) is not None:
            return None
        account = {
            "kind": "ServiceAccount",
            "apiVersion": "v1",
            "metadata": {"name": _NAME, "namespace": key},
        }
        try:
            await self._client.create(SERVICE_ACCOUNTS, account, namespace=key)
        except ApiError as error:
            if error.reason != "AlreadyExists" and error.code not in (403, 404):  # 403: ends at this moment
                raise
        return None


def _names_of(_old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return (new["metadata"]["name"],) if new is not None else ()


def _namespace_of_deleted(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    gone = new is None and old is not None and old["metadata"]["name"] == _NAME
    return (old["metadata"]["namespace"],) if gone and old is not None else ()


def build(context: ControllerContext) -> ServiceAccountController:
    """Make the controller."""
    return ServiceAccountController(context)
