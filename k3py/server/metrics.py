"""Metrics about what is stored. Source: k8s.io/apiserver/pkg/storage/etcd3/metrics v0.35."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.datastore.errors import DatastoreError
from k3py.util.metrics import Computed, Gauge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.api.registry import KindRegistry
    from k3py.datastore.interface import Backend
    from k3py.storage.factory import CachedStorage
    from k3py.util.metrics import Registry

log = logging.getLogger(__name__)

_CLUSTER = "etcd-0"


def add_storage_metrics(
    registry: Registry, storage: CachedStorage, kinds: KindRegistry, backend: Backend
) -> None:
    """Add numbers of objects by resource, and the datastore's size, which is asked for when somebody reads."""

    def iter_counts() -> Iterator[tuple[tuple[str, ...], float]]:
        for kind in kinds.list_stores():
            count = storage.count_open(kind)
            if count is not None:
                yield (f"{kind.plural}.{kind.group}" if kind.group else kind.plural,), count

    size = Gauge("apiserver_storage_size_bytes", "Size of the datastore in bytes.", ("storage_cluster_id",))

    async def refresh() -> None:
        try:
            size.set(_CLUSTER, to=(await backend.status()).size_bytes)
        except DatastoreError as error:
            log.info("the datastore does not tell its size", extra={"error": str(error)})

    registry.add(
        Computed(
            "apiserver_storage_objects", "Number of stored objects by resource.", ("resource",), iter_counts
        ),
        size,
    )
    registry.add_refresher(refresh)
