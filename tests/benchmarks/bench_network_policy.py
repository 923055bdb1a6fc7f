"""What a new pod costs where network policies are many: planning all rules anew, and one transaction of what differs.

python -m tests.benchmarks.bench_network_policy [--pods 2000] [--policies 200] [--changes 20]

Needs root: it runs in a network namespace of its own. 100 of the pods are on this node. Prints one JSON line, milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from k3py.network.policy.planner import TABLE, plan_policies
from k3py.network.policy.pods import PolicyPod
from k3py.network.ruleset import render_change, render_full

SPACES = 20


def make_pod(number: int, *, local: bool) -> PolicyPod:
    """Return a pod of one of twenty namespaces."""
    return PolicyPod(
        namespace=f"ns{number % SPACES}",
        name=f"p{number}",
        labels={"app": f"a{number % 10}"},
        addresses=(f"10.42.{number // 250}.{number % 250 + 1}",),
        ports=(("http", "TCP", 8080),),
        local=local,
    )


def make_policy(number: int):
    """Return a policy with a named port, a range, selectors of pods and namespaces, and a block with a hole."""
    sources = [{"podSelector": {"matchLabels": {"app": f"a{(number + 1) % 10}"}}}, {"namespaceSelector": {"matchLabels": {"team": str(number % 4)}}}]
    ingress = [{"from": sources, "ports": [{"port": "http"}, {"port": 9000, "endPort": 9100}]}]
    egress = [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]
    spec = {"podSelector": {"matchLabels": {"app": f"a{number % 10}"}}, "policyTypes": ["Ingress", "Egress"], "ingress": ingress, "egress": egress}
    return {"metadata": {"namespace": f"ns{number % SPACES}", "name": f"policy{number}"}, "spec": spec}


def write(text: str) -> float:
    """Give nft its input; returns seconds."""
    began = time.perf_counter()
    if text:
        subprocess.run(["nft", "-f", "-"], input=text.encode(), check=True)
    return time.perf_counter() - began


def measure(options) -> dict[str, float]:
    """Write everything, then add one pod after another."""
    pods = [make_pod(number, local=number < 100) for number in range(options.pods)]
    policies = [make_policy(number) for number in range(options.policies)]
    spaces = {f"ns{number}": {"team": str(number % 4)} for number in range(SPACES)}
    known = plan_policies(policies, pods, spaces)
    loaded = write(render_full(TABLE, known))
    planned, written = [], []
    for turn in range(options.changes):
        pods.append(make_pod(options.pods + turn, local=True))
        began = time.perf_counter()
        new = plan_policies(policies, pods, spaces)
        change, removal = render_change(TABLE, known, new)
        planned.append(time.perf_counter() - began)
        written.append(write(change) + write(removal))
        known = new

    def at(values, share):
        return round(1000 * sorted(values)[min(len(values) - 1, int(len(values) * share))], 1)

    return {
        "pods": options.pods,
        "policies": options.policies,
        "load_all_ms": round(1000 * loaded),
        "plan_p50_ms": at(planned, 0.5),
        "plan_p95_ms": at(planned, 0.95),
        "write_p50_ms": at(written, 0.5),
        "write_p95_ms": at(written, 0.95),
    }


def main() -> None:
    """Enter a network namespace, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--changes", type=int, default=20)
    options = parser.parse_args()
    if os.environ.get("K3PY_BENCH_INSIDE") != "1":
        command = ["unshare", "--net", sys.executable, "-m", "tests.benchmarks.bench_network_policy", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, "K3PY_BENCH_INSIDE": "1"}, check=False).returncode)
    print(json.dumps(measure(options)))


if __name__ == "__main__":
    main()
