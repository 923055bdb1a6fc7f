"""Benchmarks of the watch cache: LIST of 10,000 pods, watch fan-out, memory a pod. Budgets: ARCHITECTURE §6.

Run: python -m tests.benchmarks.bench_storage [--pods 10000] [--watchers 50] [--rate 1000] [--seconds 5]
Prints one JSON document; times in milliseconds, sizes in bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import statistics
import time
import tracemalloc

from k3py.api.kind import Kind, StoragePolicy
from k3py.datastore.factory import open_backend
from k3py.storage.factory import open_storage
from k3py.storage.interface import ListQuery, WatchQuery

POD = Kind(
    version="v1",
    kind="Pod",
    plural="pods",
    selectable_fields={
        "spec.nodeName": lambda obj: obj["spec"].get("nodeName", ""),
        "spec.restartPolicy": lambda obj: obj["spec"].get("restartPolicy", ""),
        "spec.schedulerName": lambda obj: obj["spec"].get("schedulerName", ""),
        "spec.serviceAccountName": lambda obj: obj["spec"].get("serviceAccountName", ""),
        "spec.hostNetwork": lambda obj: str(obj["spec"].get("hostNetwork", False)).lower(),
        "status.phase": lambda obj: (obj.get("status") or {}).get("phase", ""),
        "status.podIP": lambda obj: (obj.get("status") or {}).get("podIP", ""),
        "status.nominatedNodeName": lambda obj: (obj.get("status") or {}).get("nominatedNodeName", ""),
    },
    storage=StoragePolicy(prefix="pods"),
)


def pod(i: int):
    """Return a pod of about 3 kB."""
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"web-6d4cf56db6-{i:05d}",
            "generateName": "web-6d4cf56db6-",
            "namespace": f"team-{i % 20}",
            "uid": f"00000000-0000-0000-0000-{i:012d}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "generation": 1,
            "labels": {"app": "web", "pod-template-hash": "6d4cf56db6", "tier": "front"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web-6d4cf56db6",
                    "uid": "11111111-1111-1111-1111-111111111111",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": "2026-01-01T00:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {f"f:spec-{n}": {"f:a": {}, "f:b": {}, "f:c": {}} for n in range(20)},
                }
            ],
        },
        "spec": {
            "nodeName": f"node-{i % 100}",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "containers": [
                {
                    "name": "web",
                    "image": "registry.example.com/web:1.2.3",
                    "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": f"VARIABLE_{n}", "value": f"value {n}"} for n in range(10)],
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                    "volumeMounts": [
                        {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
                    ],
                }
            ],
            "tolerations": [
                {
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.42.{i % 256}.{i // 256 % 256}",
            "hostIP": "192.0.2.1",
            "qosClass": "Burstable",
            "conditions": [
                {"type": t, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                for t in (
                    "Ready",
                    "ContainersReady",
                    "Initialized",
                    "PodScheduled",
                    "PodReadyToStartContainers",
                )
            ],
        },
    }


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def fill(store, count):
    async with asyncio.TaskGroup() as group:
        for low in range(0, count, 500):

            async def some(low=low):
                for i in range(low, min(low + 500, count)):
                    await store.create(pod(i))

            group.create_task(some())


async def bench_list(store):
    times, size = [], 0
    for _ in range(20):
        start = time.perf_counter()
        page = await store.list(ListQuery())
        body = b",".join([view.served for view in page.items])
        times.append((time.perf_counter() - start) * 1000)
        size = len(body)
    selective = []
    from k3py.api.selectors import parse_field_selector, parse_label_selector

    for query in (
        ListQuery(labels=parse_label_selector("app=web")),
        ListQuery(fields=parse_field_selector("spec.nodeName=node-7")),
        ListQuery(namespace="team-3"),
    ):
        start = time.perf_counter()
        await store.list(query)
        selective.append(round((time.perf_counter() - start) * 1000, 2))
    return {
        "objects": len(page.items),
        "bytes": size,
        "p50_ms": round(statistics.median(times), 2),
        "max_ms": round(max(times), 2),
        "label_field_namespace_ms": selective,
    }


async def bench_fan_out(store, watchers, rate, seconds):
    lags: list[float] = []
    sent: dict[int, float] = {}
    counts = [0] * watchers
    total = rate * seconds
    first = (await store.list(ListQuery(limit=1))).revision

    async def watch(number):
        size = 0
        async with store.watch(WatchQuery(after=first)) as events:
            while counts[number] < total:
                batch = await anext(events)
                lines = b"".join([item.json_line for item in batch])
                size += len(lines)
                now = time.perf_counter()
                counts[number] += len(batch)
                if number % 10 == 0:
                    lags.extend(
                        now - sent[item.object.revision] for item in batch if item.object.revision in sent
                    )

    async def produce():
        start = time.perf_counter()
        for i in range(total):
            ahead = start + i / rate - time.perf_counter()
            if ahead > 0.001:
                await asyncio.sleep(ahead)

            async def change(view, i=i):
                document = dict(view.parsed)
                document["status"] = {**document["status"], "n": i}
                return document

            began = time.perf_counter()
            number = i % 1000
            view = await store.update(f"team-{number % 20}", f"web-6d4cf56db6-{number:05d}", change)
            sent[view.revision] = began
        return time.perf_counter() - start

    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for number in range(watchers):
            group.create_task(watch(number))
        await asyncio.sleep(0)
        took = await produce()
    cpu = time.process_time() - cpu
    return {
        "watchers": watchers,
        "events": total,
        "events_per_s": round(total / took),
        "lost": total * watchers - sum(counts),
        "lag_p50_ms": round(percentile(lags, 0.5) * 1000, 2),
        "lag_p99_ms": round(percentile(lags, 0.99) * 1000, 2),
        "cpu_s": round(cpu, 2),
    }


async def bench_memory(count):
    async with open_backend("memory://") as backend:
        async with open_storage(backend) as storage:
            await fill(await storage.store_for(POD), count)
        gc.collect()
        tracemalloc.start()
        async with open_storage(backend) as storage:
            before = tracemalloc.get_traced_memory()[0]
            store = await storage.store_for(POD)
            gc.collect()
            used = tracemalloc.get_traced_memory()[0] - before
            served = sum(len(view.served) for view in (await store.list(ListQuery())).items)
        tracemalloc.stop()
    return {
        "pods": count,
        "served_bytes_per_pod": served // count,
        "cache_bytes_per_pod": used // count,
        "max_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    results = {}
    async with open_backend("memory://") as backend, open_storage(backend) as storage:
        store = await storage.store_for(POD)
        start = time.perf_counter()
        await fill(store, options.pods)
        results["create_per_s"] = round(options.pods / (time.perf_counter() - start))
        results["list"] = await bench_list(store)
        results["fan_out"] = await bench_fan_out(store, options.watchers, options.rate, options.seconds)
    results["memory"] = await bench_memory(min(options.pods, 5000))
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
