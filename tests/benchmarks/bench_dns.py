"""How fast the cluster's DNS answers. Asked for: 1,000 queries a second; the budget of one answer is a millisecond.

python -m tests.benchmarks.bench_dns [--services 1000] [--queries 5000] [--clients 16]

The server answers on loopback, the clients run in a process of their own. Names of services, names that do not exist (a pod's search
list makes most questions of that kind), and names of others that the cache knows. Prints one JSON line, milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import time

import uvloop

from k3py.api.resource import SERVICES
from k3py.network.dns.records import ClusterRecords
from k3py.network.dns.server import DnsServer
from k3py.network.dns.upstream import Upstream
from k3py.util.supervise import TaskScope
from k3py.wire.dns import A
from tests.support.dns import make_query
from tests.support.fake_client import FakeClient, FakeInformerFactory


def ask(port: int, names: list[str], results) -> None:
    """Ask one name after another and put the times into the queue."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        sender.settimeout(10)
        took = []
        for number, name in enumerate(names):
            began = time.perf_counter()
            sender.send(make_query(name, A, number=number & 0xFFFF, size=1232))
            sender.recv(65535)
            took.append(time.perf_counter() - began)
    results.put(took)


async def measure(port: int, names: list[str], clients: int) -> dict[str, float]:
    """Let clients share the names; returns figures."""
    results = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=ask, args=(port, names[index::clients], results)) for index in range(clients)]
    began = time.perf_counter()
    for one in processes:
        one.start()
    took = []
    for _ in processes:
        took += await asyncio.to_thread(results.get)
    whole = time.perf_counter() - began
    for one in processes:
        one.join()
    took.sort()
    return {
        "per_s": round(len(took) / whole),
        "p50_ms": round(1000 * took[len(took) // 2], 2),
        "p99_ms": round(1000 * took[int(len(took) * 0.99)], 2),
    }


async def run(options) -> dict[str, object]:
    """Serve and measure."""
    client = FakeClient()
    for number in range(options.services):
        ip = f"10.43.{number // 250}.{number % 250 + 1}"
        client.seed(SERVICES, {"metadata": {"name": f"s{number}", "namespace": "a"}, "spec": {"clusterIP": ip, "clusterIPs": [ip]}})
    informers = FakeInformerFactory(client)
    other = DnsServer(informers, ClusterRecords(informers, domain="example.com"), Upstream(tuple), node_name="n", address="127.0.0.1", port=0)
    async with TaskScope() as scope:
        _ = scope.spawn(informers.run(lambda: None), name="informers")
        _ = scope.spawn(other.run(lambda: None), name="other")
        while not other.port:
            await asyncio.sleep(0.01)
        upstream = Upstream(lambda: [f"127.0.0.1:{other.port}"])
        records = ClusterRecords(informers, domain="cluster.local")
        server = DnsServer(informers, records, upstream, node_name="n", address="127.0.0.1", port=0)
        _ = scope.spawn(server.run(lambda: None), name="dns")
        while not server.port:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        count = options.queries
        kinds = {
            "service": [f"s{number % options.services}.a.svc.cluster.local" for number in range(count)],
            "missing": [f"s{number % options.services}.a.svc.cluster.local.a.svc.cluster.local" for number in range(count)],
            "upstream_cached": [f"s{number % 50}.a.svc.example.com" for number in range(count)],
        }
        found: dict[str, object] = {"services": options.services, "clients": options.clients}
        found["one_client"] = await measure(server.port, kinds["service"][: count // 5], 1)
        for kind, names in kinds.items():
            found[kind] = await measure(server.port, names, options.clients)
        scope.cancel()
    return found


def main() -> None:
    """Parse arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=16)
    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
