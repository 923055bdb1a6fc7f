"""Metrics about what is stored."""

from types import SimpleNamespace

from k3py.api.kinds import ALL
from k3py.api.registry import KindRegistry
from k3py.datastore.errors import Unavailable
from k3py.server.metrics import add_storage_metrics
from k3py.util.metrics import Registry


class Parts:
    """A storage with two kinds open, and a backend."""

    fault = None

    def count_open(self, kind):
        return {"pods": 3, "deployments": 2}.get(kind.plural)

    async def status(self):
        if self.fault is not None:
            raise self.fault
        return SimpleNamespace(size_bytes=4096)


async def test_counts_and_size():
    registry, parts = Registry(), Parts()
    add_storage_metrics(registry, parts, KindRegistry(ALL), parts)
    text = await registry.read()
    assert 'apiserver_storage_objects{resource="pods"} 3' in text
    assert 'apiserver_storage_objects{resource="deployments.apps"} 2' in text
    assert text.count("apiserver_storage_objects{") == 2
    assert 'apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 4096' in text


async def test_silent_datastore_spoils_nothing():
    registry, parts = Registry(), Parts()
    parts.fault = Unavailable("gone")
    add_storage_metrics(registry, parts, KindRegistry(ALL), parts)
    assert "apiserver_storage_objects" in await registry.read()
