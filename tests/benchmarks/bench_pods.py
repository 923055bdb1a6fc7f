"""Start latency of pods with a local image: one after another, and many at once (ARCHITECTURE §6: p50 0.4 s, p95 0.8 s; 50 in 5 s).

    python -m tests.benchmarks.bench_pods [--one-by-one 20] [--at-once 50]

Timed by a watch of the pods, from the answer to the create to the event that says Running.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from typing import TYPE_CHECKING, Any

from tests.support.cluster import KUBECONFIG, running_server

if TYPE_CHECKING:
    from tests.support.cluster import Server

IMAGE = "docker.io/library/busybox:local"


def _pod(name: str) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": IMAGE,
        "command": ["sleep", "3600"],
        "resources": {"requests": {"cpu": "1m"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


class Watcher:
    """Follows pods through `kubectl get --watch` and knows when each was first seen Running."""

    def __init__(self, server: Server) -> None:
        command = [server.kubectl_path, "get", "pods", "--watch", "--output-watch-events", "-o", "json"]
        self._process = server.node.popen(
            [*command, "--chunk-size=0"], env={"KUBECONFIG": KUBECONFIG}, stdout=subprocess.PIPE
        )
        self._decoder = json.JSONDecoder()
        self._text = ""

    def wait_running(self, names: set[str]) -> dict[str, float]:
        """Return monotonic times at which each of `names` was Running."""
        seen: dict[str, float] = {}
        while names - set(seen):
            for event in self._read():
                pod = event["object"]
                if pod.get("status", {}).get("phase") == "Running" and _is_started(pod):
                    seen.setdefault(pod["metadata"]["name"], time.monotonic())
        return seen

    def _read(self) -> list[dict[str, Any]]:
        assert self._process.stdout is not None
        self._text += self._process.stdout.read1().decode()
        events = []
        while self._text.strip():
            self._text = self._text.lstrip()
            try:
                event, end = self._decoder.raw_decode(self._text)
            except json.JSONDecodeError:
                break
            events.append(event)
            self._text = self._text[end:]
        return events

    def close(self) -> None:
        """End the watch."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _is_started(pod: dict[str, Any]) -> bool:
    return any("running" in one.get("state", {}) for one in pod["status"].get("containerStatuses", []))


def _create(server: Server, *names: str) -> float:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [_pod(name) for name in names]})
    server.kubectl("create", "--validate=false", "-f", "-", stdin=text)
    return time.monotonic()


def main() -> None:
    """Print p50 and p95 one by one, and the time until all of many run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--one-by-one", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=50)
    arguments = parser.parse_args()
    with running_server() as server:
        watcher = Watcher(server)
        try:
            latencies = []
            for number in range(arguments.one_by_one):
                name = f"one-{number}"
                created = _create(server, name)
                latencies.append(max(0.0, watcher.wait_running({name})[name] - created))
            ordered = sorted(latencies)
            p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
            print(f"one by one: p50 {statistics.median(ordered):.2f} s, p95 {p95:.2f} s (n={len(ordered)})")
            names = {f"many-{number}" for number in range(arguments.at_once)}
            began = time.monotonic()
            _create(server, *sorted(names))
            last = max(watcher.wait_running(names).values())
            print(f"{arguments.at_once} at once: all Running after {last - began:.2f} s")
        finally:
            watcher.close()


if __name__ == "__main__":
    main()
