"""Kubernetes' own conformance tests of v1.35 against a k3py server and an agent in the lab.

    python -m tests.support.kubernetes_e2e.run [--focus REGEX] [--skip REGEX] [--procs N] [--keep FOLDER]

Prints each test that fails and how many pass. Everything is built first where it is not cached (docs/conformance.md says what that needs).
All tests take about an hour on two cores; nothing of it runs in CI.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from k3py.runtime.image_archive import build_archive
from tests.support.cluster import KUBECONFIG, Server, start_agent
from tests.support.kubernetes_e2e.images import make_recipes
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.lab.node import Node

CONFORMANCE: Final = r"\[Conformance\]"


def build(folder: str) -> Path:
    """Run the build script of a folder beside this one, and return the path that it prints."""
    script = PROJECT / "tests/support" / folder / "build"
    return Path(subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def put_images(archive: Path, node: Node) -> None:
    """Lay the images where a node's containerd imports them at its start; the nodes share the file."""
    folder = node.disk / "var/lib/k3py/agent/images"
    folder.mkdir(parents=True, exist_ok=True)
    os.link(archive, folder / "kubernetes-e2e.tar")


def run_suite(node: Node, programs: Path, kubectl: Path, folder: Path, parsed: argparse.Namespace) -> Path:
    """Run the tests in a node and return the report that they write."""
    command = [
        programs / "ginkgo",
        f"--procs={parsed.procs}",
        f"--focus={parsed.focus}",
        *([f"--skip={parsed.skip}"] if parsed.skip else []),
        "--no-color",
        "--silence-skips",
        "--timeout=6h",
        f"--output-dir={node.shared}",
        "--json-report=report.json",
        programs / "e2e.test",
        "--",
        "--provider=skeleton",
        f"--kubeconfig={KUBECONFIG}",
        f"--kubectl-path={kubectl}",
        "--disable-log-dump",
        "--dns-domain=cluster.local",
    ]
    with (folder / "log").open("wb") as log:
        process = node.popen([str(part) for part in command], stdout=log, stderr=log, env={"HOME": "/root"})
        process.wait()
    report = folder / "report.json"
    report.write_bytes((node.shared / "report.json").read_bytes())
    return report


def iter_results(report: Path) -> Iterator[tuple[str, str, str]]:
    """Yield state, name and the first lines of the failure of each test that ran."""
    suites: list[dict[str, Any]] = json.loads(report.read_text())
    for suite in suites:
        for spec in suite["SpecReports"] or ():
            if spec["State"] in ("skipped", "pending") or spec["LeafNodeType"] != "It":
                continue
            name = " ".join([*(spec["ContainerHierarchyTexts"] or ()), spec["LeafNodeText"]])
            yield spec["State"], name, spec.get("Failure", {}).get("Message", "")


def main() -> int:
    """Build, boot, run, tell; returns 1 when a test fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--focus", default=CONFORMANCE, help="only tests whose name matches")
    parser.add_argument("--skip", default="", help="not these")
    parser.add_argument("--procs", type=int, default=4, help="tests at once")
    parser.add_argument("--keep", type=Path, help="where report and logs go (default: a temporary folder)")
    parsed = parser.parse_args()
    programs, kubectl, etcd = build("kubernetes_e2e"), build("kubectl"), build("etcd_build")
    folder = parsed.keep or Path(tempfile.mkdtemp(prefix="k3py-e2e-"))
    folder.mkdir(parents=True, exist_ok=True)
    with Lab() as lab:
        archive = lab.folder / "images.tar"
        archive.write_bytes(build_archive(make_recipes(programs, etcd)))
        nodes = [lab.add_node(name) for name in ("n1", "n2")]
        for node in nodes:
            put_images(archive, node)
        server = Server(nodes[0])
        server.start()
        agent = None
        try:
            server.wait_ready(limit_s=300)
            token = nodes[0].path("/var/lib/k3py/server/node-token").read_text().strip()
            agent = start_agent(nodes[1], f"https://{nodes[0].address}:6443", token, f"--node-ip={nodes[1].address}")
            server.until(lambda: server.kubectl("wait", "node/n2", "--for=condition=Ready", "--timeout=60s"), limit_s=300)
            report = run_suite(nodes[0], programs, kubectl, folder, parsed)
        finally:
            for node in nodes:
                (folder / f"{node.name}.log").write_bytes((node.disk / "var/log/k3py.log").read_bytes())
            if agent is not None:
                agent.terminate()
                agent.wait(timeout=60)
            server.stop()
    results = sorted(iter_results(report))
    failed = [one for one in results if one[0] != "passed"]
    for state, name, message in failed:
        print(f"{state.upper()} {name}\n    {message[:600]}")
    print(f"{len(results) - len(failed)} of {len(results)} passed; report: {report}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
