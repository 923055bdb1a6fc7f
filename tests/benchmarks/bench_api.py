"""The API over HTTPS, against a server process of its own: `python -m tests.benchmarks.bench_api [--endpoint sqlite:///…] [--json FILE]`.

Prints requests per second and latencies with 1, 12 and 16 clients, CPU time of the server a request, the fan-out of watches, lists of
10,000 pods in all forms with the server's peak memory, memory a pod and a CustomResourceDefinition, and how long other clients wait
while something big is done ("others wait"): the longest answer to GET /livez, asked for all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import tempfile
import time
from pathlib import Path

from k3py.cli.bench.http_load import Connection, Figures, run
from tests.support.api_server_process import ApiServerProcess

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WATCHERS = 50
EVENTS = 1000
MANY_PODS = 10_000
MANY_DEFINITIONS = 50


def make_body(name: str) -> bytes:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}}}
    return json.dumps({**body, "data": {"key": "value" * 40}}).encode()


def make_pod(n: int) -> bytes:
    """A pod as a Deployment makes it, 3 kB once it is stored."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    container = {
        "name": "web", "image": "registry.example.com/team/web:1.2.3", "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(8)], "livenessProbe": probe, "readinessProbe": probe,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}],
    }  # fmt: skip
    labels = {"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": f"web-{n % 50}", "pod-template-hash": "7c5d8f9b6d"}
    spec = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "web"}}], "automountServiceAccountToken": False}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"web-{n:05}", "labels": labels}, "spec": spec}).encode()


def make_definition(n: int) -> bytes:
    """A definition with a schema of 60 fields."""
    fields = {f"field{i}": {"type": "string", "description": "What this field is for. " * 3, "maxLength": 63} for i in range(50)}
    spec = {"type": "object", "properties": fields, "required": ["field0"]}
    status = {"type": "object", "properties": {f"state{i}": {"type": "string"} for i in range(10)}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"kind": f"Thing{n}", "plural": f"thing{n}s"}
    body = {"group": "bench.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    meta = {"name": f"thing{n}s.bench.example.com"}
    return json.dumps({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta, "spec": body}).encode()


class Bench:
    def __init__(self, server: ApiServerProcess) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=server.ca)
        self._tls.load_cert_chain(server.admin_cert, server.admin_key)
        self.results: dict[str, dict[str, float]] = {}

    async def connect(self, count: int) -> list[Connection]:
        connections = [Connection(self._server.url, self._tls) for _ in range(count)]
        for connection in connections:
            await connection.open()
        return connections

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_kb(self, field: str = "VmRSS") -> int:
        """RSS of the server now, or its highest (VmHWM) since `forget_peak`."""
        status = Path(f"/proc/{self._server.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0])

    def forget_peak(self) -> None:
        Path(f"/proc/{self._server.pid}/clear_refs").write_text("5")

    async def watched(self, name: str, work) -> None:
        """Do something big, best of three for its time, while another client asks for /livez all the time."""
        (prober,) = await self.connect(1)
        waits: list[float] = []
        ended = asyncio.Event()

        async def probe() -> None:
            while not ended.is_set():
                asked = time.perf_counter()
                await prober.send("GET", "/livez")
                waits.append((time.perf_counter() - asked) * 1000)
                await asyncio.sleep(0.002)

        self.forget_peak()
        before, times, size = self.memory_kb(), [], 0
        async with asyncio.TaskGroup() as group:
            group.create_task(probe())
            await asyncio.sleep(0.05)
            for _ in range(3):
                started = time.perf_counter()
                size = await work()
                times.append((time.perf_counter() - started) * 1000)
            ended.set()
        prober.close()
        peak = self.memory_kb("VmHWM") - before
        print(f"{name:36} {min(times):7.0f} ms  {size / 1e6:6.1f} MB  peak memory +{peak / 1024:5.0f} MB  others wait {max(waits):5.0f} ms")
        self.results[name] = {"ms": min(times), "peak_mb": peak / 1024, "others_wait_ms": max(waits)}

    async def measure(self, name: str, clients: int, make_request, total: int, expect: int) -> None:
        connections = await self.connect(clients)
        before = self.cpu_s()
        figures: Figures = await run(connections, make_request, total, expect)
        cpu_us = (self.cpu_s() - before) / total * 1e6
        for connection in connections:
            connection.close()
        print(f"{name:28} {clients:3} clients  {figures}  server CPU {cpu_us:.0f} µs/req")
        self.results[f"{name}/{clients}"] = {
            "per_second": figures.per_second,
            "p50_ms": figures.percentile_ms(50),
            "p99_ms": figures.percentile_ms(99),
            "cpu_us": cpu_us,
        }

    async def run(self) -> None:
        for clients, total in ((1, 500), (16, 3000)):

            def create(n: int, clients: int = clients) -> tuple[str, str, bytes]:
                return "POST", MAPS, make_body(f"c{clients}-{n}")

            await self.measure("create configmap", clients, create, total, 201)

            def get(n: int, clients: int = clients) -> tuple[str, str, bytes]:
                return "GET", f"{MAPS}/c{clients}-{n % 500}", b""

            await self.measure("get configmap", clients, get, 4 * total, 200)
            if clients == 16:
                await self.measure("get configmap", 12, get, 4 * total, 200)
        await self.measure("list of 3,500 configmaps", 1, lambda n: ("GET", MAPS, b""), 20, 200)
        await self.fan_out()
        await self.memory_of_definitions()
        await self.lists()
        await self.big_writes()

    async def memory_of_definitions(self) -> None:
        before = self.memory_kb()
        await self.measure("create definition", 1, lambda n: ("POST", DEFINITIONS, make_definition(n)), MANY_DEFINITIONS, 201)
        (client,) = await self.connect(1)
        for n in range(MANY_DEFINITIONS):
            while (await client.send("GET", f"/apis/bench.example.com/v1/thing{n}s"))[0] != 200:
                await asyncio.sleep(0.01)
        client.close()
        each = (self.memory_kb() - before) / MANY_DEFINITIONS
        print(f"memory a definition: {each / 1024:.2f} MB")
        self.results["definition"] = {"kb": each}

    async def lists(self) -> None:
        account = json.dumps({"metadata": {"name": "default"}}).encode()
        (client,) = await self.connect(1)
        await client.send("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        before = self.memory_kb()
        await self.measure("create pod", 16, lambda n: ("POST", PODS, make_pod(n)), MANY_PODS, 201)
        each = (self.memory_kb() - before) / MANY_PODS
        print(f"memory a pod: {each:.2f} kB")
        self.results["pod"] = {"kb": each}
        forms = {
            "JSON": {},
            "JSON, gzip": {"Accept-Encoding": "gzip"},
            "protobuf": {"Accept": "application/vnd.kubernetes.protobuf"},
            "table": {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
            "metadata": {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
        }
        for name, headers in forms.items():
            asking = Connection(self._server.url, self._tls, headers)
            await asking.open()

            async def all_at_once(asking: Connection = asking) -> int:
                status, body = await asking.send("GET", PODS)
                assert status == 200, body[:300]
                return len(body)

            async def in_pages(asking: Connection = asking) -> int:
                size, token = 0, ""
                while True:
                    status, body = await asking.send("GET", f"{PODS}?limit=500&continue={token}")
                    assert status == 200, body[:300]
                    size += len(body)
                    token = (json.loads(body[:2000].split(b',"items"')[0] + b"}")["metadata"]).get("continue", "")
                    if not token:
                        return size

            async def watched(asking: Connection = asking) -> int:
                size = count = 0
                async for chunk in asking.stream(f"{PODS}?watch=1&timeoutSeconds=60"):
                    size += len(chunk)
                    count += chunk.count(b"web-7c5d8f9b6d") or chunk.count(b"pod-template-hash")
                    if count >= MANY_PODS:
                        break
                asking.close()
                await asking.open()
                return size

            await self.watched(f"list 10,000 pods, {name}", all_at_once)
            if name == "JSON":
                await self.watched("list 10,000 pods, JSON, limit=500", in_pages)
                await self.watched("watch 10,000 pods, JSON", watched)
            asking.close()
        client.close()

    async def big_writes(self) -> None:
        """A config map of 1 MB, applied; and the pods deleted as a collection."""
        data = {f"key-{n:05}": "x" * 80 for n in range(10_000)}
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": data}).encode()
        names = [{"name": f"c-{n}", "image": "i", "env": [{"name": f"E{m}", "value": "v" * 20} for m in range(100)]} for n in range(150)]
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": names}}
        spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        deployment = json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "big"}, "spec": spec}).encode()
        (client,) = await self.connect(1)
        changes = iter(range(100))

        async def apply_map() -> int:
            sent = body.replace(b"x" * 80, b"y" * 79 + str(next(changes) % 10).encode(), 1)
            status, answer = await client.send("PATCH", f"{MAPS}/big?fieldManager=me", sent, "application/apply-patch+yaml")
            assert status in (200, 201), answer[:300]
            return len(sent)

        async def apply_deployment() -> int:
            sent = deployment.replace(b"vvvvv", b"w" * 4 + str(next(changes) % 10).encode(), 1)
            path = "/apis/apps/v1/namespaces/default/deployments/big?fieldManager=me"
            status, answer = await client.send("PATCH", path, sent, "application/apply-patch+yaml")
            assert status in (200, 201), answer[:300]
            return len(sent)

        async def delete_pods() -> int:
            status, answer = await client.send("DELETE", f"{PODS}?labelSelector=app.kubernetes.io/instance=web-{next(changes) % 50}")
            assert status == 200, answer[:300]
            return len(answer)

        await self.watched("apply a config map of 1 MB", apply_map)
        await self.watched("apply a deployment of 0.7 MB", apply_deployment)
        await self.watched("delete 200 of 10,000 pods", delete_pods)

    async def fan_out(self) -> None:
        """EVENTS changes, seen by WATCHERS watchers: lag from the writer's answer to each watcher's event."""
        watchers = await self.connect(WATCHERS)
        (writer,) = await self.connect(1)
        _, body = await writer.send("GET", f"{MAPS}?limit=1")
        revision = json.loads(body)["metadata"]["resourceVersion"]
        sent: dict[str, float] = {}
        lags: list[float] = []
        counts = [0] * WATCHERS

        async def watch(index: int, connection: Connection) -> None:
            rest = b""
            async for chunk in connection.stream(
                f"{MAPS}?watch=1&resourceVersion={revision}&timeoutSeconds=300"
            ):
                *lines, rest = (rest + chunk).split(b"\n")
                now = time.perf_counter()
                for line in lines:
                    at = line.find(b'"name":"w')
                    if at >= 0:
                        name = line[at + 8 : line.find(b'"', at + 8)].decode()
                        lags.append((now - sent[name]) * 1000)
                counts[index] += len(lines)
                if counts[index] >= EVENTS:
                    return

        async def write() -> None:
            connections = [writer, *await self.connect(15)]

            async def make(part: int) -> None:
                for n in range(part, EVENTS, 16):
                    sent[f"w{n}"] = time.perf_counter()
                    status, _ = await connections[part].send("POST", MAPS, make_body(f"w{n}"))
                    assert status == 201

            async with asyncio.TaskGroup() as group:
                for part in range(16):
                    group.create_task(make(part))

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for index, connection in enumerate(watchers):
                group.create_task(watch(index, connection))
            await asyncio.sleep(0.5)
            started = time.perf_counter()
            group.create_task(write())
        seconds = time.perf_counter() - started
        lags.sort()
        p99 = lags[int(len(lags) * 0.99)]
        lost = WATCHERS * EVENTS - sum(counts)
        print(
            f"watch fan-out: {EVENTS / seconds:.0f} events/s x {WATCHERS} watchers, "
            f"lag from request p50 {lags[len(lags) // 2]:.1f} ms p99 {p99:.1f} ms, lost {lost}"
        )
        self.results["fan-out"] = {"events_per_second": EVENTS / seconds, "lag_p99_ms": p99, "lost": lost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="sqlite", help="datastore; default: SQLite in a temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ApiServerProcess(Path(folder), endpoint="" if options.endpoint == "sqlite" else options.endpoint) as server,
    ):
        bench = Bench(server)
        asyncio.run(bench.run())
    if options.json:
        options.json.write_text(json.dumps(bench.results, indent=1) + "\n")


if __name__ == "__main__":
    main()
