"""From exec to /readyz, to a Ready node, to the first running pod with a local image (ARCHITECTURE §6: 1.5 s, 3 s, 4 s).

python -m tests.benchmarks.bench_start [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import time

from tests.support.cluster import Server
from tests.support.lab import Lab
from tests.support.lab.runtime import put_busybox

POD = """
apiVersion: v1
kind: Pod
metadata: {name: first}
spec:
  containers: [{name: c, image: docker.io/library/busybox:local, command: [sleep, "3600"]}]
"""


def measure(*, fresh: bool, server: Server) -> dict[str, float]:
    """Start the server once and return seconds since exec."""
    began = time.monotonic()
    server.start()
    times = {}
    probe = ["busybox", "wget", "-q", "-O", "-", "--no-check-certificate", "https://127.0.0.1:6443/readyz"]
    server.until(lambda: server.node.run(probe, check=False).returncode == 0, what="/readyz")
    times["readyz"] = time.monotonic() - began
    server.wait_ready()
    times["node Ready"] = time.monotonic() - began
    if fresh:
        server.until(
            lambda: server.kubectl("apply", "-f", "-", stdin=POD, check=False).returncode == 0, what="apply"
        )
    server.until(
        lambda: server.get("pod", "first")["status"].get("phase") == "Running", what="the first running pod"
    )
    times["first pod Running" if fresh else "old pod seen Running"] = time.monotonic() - began
    return times


def main() -> None:
    """Print medians; the first start makes keys, database and images, the later ones find them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    first: list[dict[str, float]] = []
    again: list[dict[str, float]] = []
    for _ in range(rounds):
        with Lab() as lab:
            node = lab.add_node("n1")
            put_busybox(node)
            server = Server(node)
            first.append(measure(fresh=True, server=server))
            server.stop()
            again.append(measure(fresh=False, server=server))
            server.kill()
    for title, results in (("first start", first), ("later start", again)):
        for name in results[0]:
            print(
                f"{title}: exec to {name}: {statistics.median(one[name] for one in results):.2f} s (n={rounds})"
            )


if __name__ == "__main__":
    main()
