"""How many pods a second get a node. Budget (ARCHITECTURE §6): 300 at 500 nodes, 100 at 5,000.

python -m tests.benchmarks.bench_scheduler [--nodes 500] [--pods 1000] [--kind plain|service|spread|anti-affinity|mixed] [--memory] [--profile]

Nodes are objects without a kubelet. All pods are there before the scheduler starts; the clock stops when the last one is bound, on
disk unless --memory, Events included. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path

import uvloop

from k3py.api.resource import NODES, PODS, SERVICE_ACCOUNTS, SERVICES
from k3py.api.user import AUTHENTICATED, User
from k3py.client.events import EventRecorder
from k3py.client.interface import PatchType
from k3py.client.local import LocalClient
from k3py.client.local_informers import LocalInformerFactory
from k3py.scheduler.scheduler import Scheduler
from k3py.util.supervise import TaskScope
from tests.support.api_server import run_api_server

KINDS = ("plain", "service", "spread", "anti-affinity", "mixed")
ZONES = 3
AT_ONCE = 50


def make_node(number: int):
    """Return a node of 8 cores in one of three zones."""
    room = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    labels = {
        "kubernetes.io/hostname": f"n{number:05d}",
        "topology.kubernetes.io/zone": f"z{number % ZONES}",
        "kubernetes.io/os": "linux",
    }
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": f"n{number:05d}", "labels": labels},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def make_pod(number: int, kind: str):
    """Return a small pod; kinds differ in what the scheduler has to look at."""
    if kind == "mixed":
        kind = KINDS[number % 4]
    app = {"app": kind}
    spec = {
        "containers": [
            {
                "name": "c",
                "image": "example/app:1",
                "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
            }
        ]
    }
    if kind == "spread":
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 5,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": app},
            }
        ]
    elif kind == "anti-affinity":
        term = {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {"group": str(number % 50)}},
        }
        app = {**app, "group": str(number % 50)}
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    metadata = {"name": f"p{number:05d}", "namespace": "default", "labels": app}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}


async def create_all(client, resource, objects):
    """Create objects, some at a time."""
    waiting = iter(objects)

    async def some():
        for one in waiting:
            await client.create(resource, one)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


async def measure(folder: Path, arguments: argparse.Namespace) -> None:
    """Fill a server, start the scheduler, wait for the last pod."""
    endpoint = "memory://" if arguments.memory else f"sqlite://{folder}/state.db"
    async with run_api_server(folder, endpoint=endpoint) as server, TaskScope() as scope:

        def client_of(name, *groups):
            return LocalClient(
                server.assembly.dispatcher, User(name=name, groups=(*groups, AUTHENTICATED)), name
            )

        admin = client_of("admin", "system:masters")
        client = client_of("system:kube-scheduler")
        account = {
            "kind": "ServiceAccount",
            "apiVersion": "v1",
            "metadata": {"name": "default", "namespace": "default"},
        }
        await admin.create(SERVICE_ACCOUNTS, account)
        if arguments.kind in ("service", "mixed"):
            metadata = {"name": "s", "namespace": "default"}
            spec = {"clusterIP": "None", "selector": {"app": "service"}, "ports": [{"port": 80}]}
            await admin.create(
                SERVICES, {"kind": "Service", "apiVersion": "v1", "metadata": metadata, "spec": spec}
            )
        await create_all(admin, NODES, (make_node(n) for n in range(arguments.nodes)))
        for node in (
            await admin.list(NODES)
        ).items:  # new nodes are tainted until a controller knows them ready
            await admin.patch(
                NODES, node["metadata"]["name"], {"spec": {"taints": None}}, patch_type=PatchType.MERGE
            )
        await create_all(admin, PODS, (make_pod(n, arguments.kind) for n in range(arguments.pods)))

        informers = LocalInformerFactory(client_of("system:kube-controller-manager", "system:masters"))
        recorder = EventRecorder(client, component="default-scheduler")
        scheduler = Scheduler(client, informers, recorder)
        left, done = set(), asyncio.Event()

        def on_pod(old, new):
            if new is not None and new["spec"].get("nodeName"):
                left.add(new["metadata"]["name"])
                if len(left) == arguments.pods:
                    done.set()

        informers.informer(PODS).add_handler(on_pod)
        for component in (informers, recorder):
            ready = asyncio.Event()
            _ = scope.spawn(component.run(ready.set), name=component.name)
            await ready.wait()
        await informers.informer(PODS).wait_synced()
        await informers.informer(NODES).wait_synced()
        lag = await LoopWatch.start(scope)
        profile = cProfile.Profile() if arguments.profile else None
        if profile is not None:
            profile.enable()
        started_s, cpu_s = time.perf_counter(), time.process_time()
        _ = scope.spawn(scheduler.run(lambda: None), name="scheduler")
        async with asyncio.timeout(arguments.timeout):
            await done.wait()
        took_s, used_s = time.perf_counter() - started_s, time.process_time() - cpu_s
        if profile is not None:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        print(
            json.dumps(
                {
                    "nodes": arguments.nodes,
                    "pods": arguments.pods,
                    "kind": arguments.kind,
                    "seconds": round(took_s, 2),
                    "pods_per_s": round(arguments.pods / took_s, 1),
                    "cpu_ms_per_pod": round(1000 * used_s / arguments.pods, 2),
                    "longest_block_ms": round(1000 * lag.longest_s, 1),
                }
            )
        )
        scope.cancel()


class LoopWatch:
    """The longest time for which the event loop did not turn."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    @classmethod
    async def start(cls, scope: TaskScope) -> LoopWatch:
        """Measure from now on."""
        one = cls()
        _ = scope.spawn(one._run(), name="loop-watch")
        return one

    async def _run(self) -> None:
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.perf_counter() - before_s - 0.001)


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--kind", choices=KINDS, default="plain")
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        uvloop.run(measure(Path(folder), arguments))


if __name__ == "__main__":
    main()
