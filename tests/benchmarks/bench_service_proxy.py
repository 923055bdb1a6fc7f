"""What a change of one service costs among many. Budget (issue: network): 50 ms at 10,000 services with 3 endpoints each.

python -m tests.benchmarks.bench_service_proxy [--services 10000] [--endpoints 3] [--changes 50]

Needs root: it runs in a network namespace of its own. The whole way is measured: an EndpointSlice reaches the informer, the controller
plans, nft writes, and a client's connection to the service's address arrives at the new endpoint. Prints one JSON line, milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time

import uvloop

from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from k3py.client.informer import SharedInformer, identity, key_of_document, version_of_document
from k3py.network.proxy.nftables import NftablesProxy
from k3py.network.proxy.service_watch import ServiceProxyController
from k3py.runtime.program import find_program, get_program
from k3py.util.supervise import TaskScope

VIPS, PODS = "10.96", "10.42"
_TRY_S = 0.005
HERE = (f"{PODS}.255.1", f"{PODS}.255.2")  # where a server answers


class Informers:
    """Informers fed by hand."""

    def __init__(self):
        self.made = {one: SharedInformer(identity, version_of_document) for one in (SERVICES, ENDPOINT_SLICES, NODES)}

    def informer(self, resource, **_):
        """Return the informer of a resource."""
        return self.made[resource]


def address(prefix: str, number: int) -> str:
    """Return the address with this number below a prefix of two bytes."""
    return f"{prefix}.{number // 250}.{number % 250 + 1}"


def service(number: int):
    """Return a Service with one port."""
    ip = address(VIPS, number)
    spec = {"clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    return {"metadata": {"name": f"s{number}", "namespace": "default", "resourceVersion": "1"}, "spec": spec}


def endpoint_slice(number: int, addresses, version: int = 1):
    """Return the slice of a service."""
    return {
        "metadata": {
            "name": f"s{number}-1",
            "namespace": "default",
            "resourceVersion": str(version),
            "labels": {"kubernetes.io/service-name": f"s{number}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
    }


async def wait_answer(target: str, expected: str) -> None:
    """Connect until the expected endpoint answers; nothing else is waited for."""
    while True:
        try:
            async with asyncio.timeout(_TRY_S):  # what still went to the endpoint of before never answers
                reader, writer = await asyncio.open_connection(target, 80)
                said = (await reader.read()).decode()
            writer.close()
            if said == expected:
                return
        except (OSError, TimeoutError):
            await asyncio.sleep(0)


async def serve(ip: str) -> asyncio.Server:
    """Answer connections to an address with the address."""

    async def answer(_, writer):
        writer.write(ip.encode())
        writer.close()

    return await asyncio.start_server(answer, ip, 8080)


async def measure(options) -> dict[str, float]:
    """Load all services, then change one again and again."""
    informers = Informers()
    proxy = NftablesProxy(nft=get_program("nft"), conntrack=find_program("conntrack"), cluster_cidrs=(f"{PODS}.0.0/16",))
    written, changed = [], asyncio.Event()
    change = proxy.change

    async def timed(services):
        began = time.perf_counter()
        await change(services)
        written.append(time.perf_counter() - began)

    proxy.change = timed
    controller = ServiceProxyController(informers, proxy, node_name="n1")
    total = options.services
    services = {("default", f"s{number}"): service(number) for number in range(total)}
    slices = {}
    for number in range(total):
        backends = [address(PODS, (number * options.endpoints + index) % 60000) for index in range(options.endpoints)]
        one = endpoint_slice(number, backends)
        slices[key_of_document(one)] = one
    servers = [await serve(ip) for ip in HERE]
    took = []
    async with TaskScope() as scope:
        began = time.perf_counter()
        informers.made[NODES].replace({})
        informers.made[SERVICES].replace(services)
        informers.made[ENDPOINT_SLICES].replace(slices)
        _ = scope.spawn(controller.run(changed.set), name="controller")
        await changed.wait()
        loaded = time.perf_counter() - began
        for turn in range(options.changes):
            number = (turn * 7919) % total
            began = time.perf_counter()
            informers.made[ENDPOINT_SLICES].put(("default", f"s{number}-1"), endpoint_slice(number, HERE[turn % 2 : turn % 2 + 1], turn + 2))
            await wait_answer(address(VIPS, number), HERE[turn % 2])
            took.append(time.perf_counter() - began)
        scope.cancel()
    for server in servers:
        server.close()

    def at(values, share):
        return round(1000 * sorted(values)[min(len(values) - 1, int(len(values) * share))], 1)

    return {
        "services": total,
        "endpoints": options.endpoints,
        "load_all_ms": round(1000 * loaded),
        "change_p50_ms": at(written, 0.5),
        "change_p95_ms": at(written, 0.95),
        "change_to_first_packet_p50_ms": at(took, 0.5),
        "change_to_first_packet_p95_ms": at(took, 0.95),
    }


def main() -> None:
    """Enter a network namespace, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=10000)
    parser.add_argument("--endpoints", type=int, default=3)
    parser.add_argument("--changes", type=int, default=50)
    options = parser.parse_args()
    if os.environ.get("K3PY_BENCH_INSIDE") != "1":
        command = ["unshare", "--net", sys.executable, "-m", "tests.benchmarks.bench_service_proxy", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, "K3PY_BENCH_INSIDE": "1"}, check=False).returncode)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for ip in HERE:
        subprocess.run(["ip", "address", "add", f"{ip}/32", "dev", "lo"], check=True)
    subprocess.run(["ip", "route", "add", f"{VIPS}.0.0/16", "dev", "lo"], check=True)
    print(json.dumps(uvloop.run(measure(options))))


if __name__ == "__main__":
    main()
