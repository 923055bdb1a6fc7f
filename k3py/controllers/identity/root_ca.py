"""Publishes the cluster's root certificate as ConfigMap `kube-root-ca.crt` in every namespace, and keeps it as it should be.

Source: kubernetes/pkg/controller/certificates/rootcacertpublisher v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import CONFIG_MAPS, NAMESPACES
from k3py.api.status import ApiError
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_NAME: Final = "kube-root-ca.crt"
_DESCRIPTION: Final = "kubernetes.io/description"
_TEXT: Final = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


class RootCaPublisher:
    """See the module."""

    name = "root-ca-certificate-publisher-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._data = {"ca.crt": context.root_ca}
        namespaces = context.informers.informer(NAMESPACES)
        maps = context.informers.informer(CONFIG_MAPS, field_selector=f"metadata.name={_NAME}")
        self._namespaces, self._maps = namespaces.lister, maps.lister
        self.watches = (Watch(namespaces, _names_of), Watch(maps, _namespace_of))

    async def reconcile(self, key: str) -> float | None:
        """Create or repair the ConfigMap in namespace `key`."""
        namespace = self._namespaces.find("", key)
        if namespace is None or "deletionTimestamp" in namespace["metadata"]:
            return None
        found = self._maps.find(key, _NAME)
        if found is None:
            wanted = {
                "kind": "ConfigMap",
                "apiVersion": "v1",
                "metadata": {"name": _NAME, "namespace": key, "annotations": {_DESCRIPTION: _TEXT}},
                "data": self._data,
            }
            await self._create(key, wanted)
            return None
        annotations = found["metadata"].get("annotations") or {}
        if found.get("data") == self._data and annotations.get(_DESCRIPTION) == _TEXT:
            return None
        metadata = {**found["metadata"], "annotations": {**annotations, _DESCRIPTION: _TEXT}}
        await self._client.update(CONFIG_MAPS, {**found, "metadata": metadata, "data": self._data})
        return None

    async def _create(self, namespace: str, wanted: JsonObject) -> None:
        try:
            await self._client.create(CONFIG_MAPS, wanted, namespace=namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists" and error.code not in (403, 404):  # 403: ends at this moment
                raise


def _names_of(_old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return (new["metadata"]["name"],) if new is not None else ()


def _namespace_of(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    obj = new or old
    return (obj["metadata"]["namespace"],) if obj is not None else ()


def build(context: ControllerContext) -> RootCaPublisher:
    """Make the controller."""
    return RootCaPublisher(context)
