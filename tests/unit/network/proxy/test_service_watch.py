"""The controller between informers and the proxy."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from k3py.network.proxy.service_watch import ServiceProxyController
from k3py.util.supervise import TaskScope


class Store:
    """An informer of documents by hand."""

    def __init__(self):
        self.objects, self.handlers, self.indexes = {}, [], {}
        self.synced = asyncio.Event()

    @property
    def lister(self):
        return self

    def find(self, namespace, name):
        return self.objects.get((namespace, name))

    def list(self, namespace=""):
        return list(self.objects.values())

    def by_index(self, index, value):
        return [obj for obj in self.objects.values() if value in self.indexes[index](obj)]

    def add_index(self, index, key_of):
        self.indexes[index] = key_of

    def add_handler(self, handler):
        self.handlers.append(handler)

    async def wait_synced(self):
        await self.synced.wait()

    def put(self, obj):
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        old, self.objects[key] = self.objects.get(key), obj
        self.tell(old, obj)

    def remove(self, namespace, name):
        self.tell(self.objects.pop((namespace, name)), None)

    def tell(self, old, new):
        for handler in self.handlers:
            handler(old, new)


class Informers:
    def __init__(self):
        self.stores = {SERVICES: Store(), ENDPOINT_SLICES: Store(), NODES: Store()}
        self.stores[NODES].synced.set()

    def informer(self, resource, **_):
        return self.stores[resource]


class RecordedProxy:
    def __init__(self):
        self.applied = asyncio.Queue()

    async def replace(self, services):
        self.applied.put_nowait(self.describe(services))

    change = replace

    @staticmethod
    def describe(services):
        return {key[1]: [(p.port, *(e.address for e in p.endpoints)) for p in ports] for key, ports in services.items()}

    async def next(self):
        async with asyncio.timeout(2):
            return await self.applied.get()


def service(name, port=80):
    spec = {"clusterIP": "10.43.0.7", "clusterIPs": ["10.43.0.7"], "ports": [{"port": port, "protocol": "TCP"}]}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def endpoints(name, *addresses):
    return {
        "metadata": {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


@asynccontextmanager
async def running():
    informers, proxy = Informers(), RecordedProxy()
    controller = ServiceProxyController(informers, proxy, node_name="n1")
    async with TaskScope() as scope:
        _ = scope.spawn(controller.run(lambda: None), name="controller")
        proxy.informers = informers
        yield informers.stores[SERVICES], informers.stores[ENDPOINT_SLICES], proxy
        scope.cancel()


async def test_nothing_is_applied_before_both_lists_are_complete():
    async with running() as (services, slices, proxy):
        services.put(service("web"))
        services.synced.set()
        await asyncio.sleep(0)
        assert proxy.applied.empty()
        slices.put(endpoints("web", "10.42.0.2"))
        slices.synced.set()
        assert await proxy.next() == {"web": [(80, "10.42.0.2")]}


async def test_changes_are_applied_together_and_only_what_differs():
    async with running() as (services, slices, proxy):
        services.synced.set()
        slices.synced.set()
        assert await proxy.next() == {}
        services.put(service("web"))
        slices.put(endpoints("web", "10.42.0.2"))
        services.put(service("db", 5432))
        assert await proxy.next() == {"web": [(80, "10.42.0.2")], "db": [(5432,)]}
        changed = endpoints("web", "10.42.0.2")
        changed["metadata"]["resourceVersion"] = "9"
        slices.put(changed)
        services.remove("default", "db")
        assert await proxy.next() == {"db": []}
        slices.put(changed)
        slices.remove("default", "web-1")
        assert await proxy.next() == {"web": [(80,)]}
        assert proxy.applied.empty()


async def test_endpoints_near_by_follow_the_nodes_zone():
    async with running() as (services, slices, proxy):
        services.put(service("web"))
        near = endpoints("web", "10.42.0.2", "10.42.1.3")
        for one, zone in zip(near["endpoints"], "ab", strict=True):
            one["hints"] = {"forZones": [{"name": zone}]}
        slices.put(near)
        services.synced.set()
        slices.synced.set()
        assert await proxy.next() == {"web": [(80, "10.42.0.2", "10.42.1.3")]}
        node = {"metadata": {"namespace": "", "name": "n1", "labels": {"topology.kubernetes.io/zone": "b"}}}
        services_of_node = proxy.informers.stores[NODES]
        services_of_node.put(node)
        assert await proxy.next() == {"web": [(80, "10.42.1.3")]}
