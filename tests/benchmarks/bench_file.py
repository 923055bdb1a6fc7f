"""The budgets, measured from the single file on a machine that has only busybox, with `k3py bench` itself.

K3PY_TEST_SINGLE_FILE=dist/k3py python -m tests.benchmarks.bench_file [--seconds 300] [--only idle,start,api,storm]

Prints a line a figure; the first line says how busy the machine was, without which figures of time say nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from tests.support.busybox_node import BusyboxNode
from tests.support.busybox_root import busybox_root
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT

SUPERVISE = "/usr/local/lib/k3py/k3py-supervise.sh"
COMMANDS = {
    "idle": ["idle"],
    "api": ["api"],
    "storm": ["storm"],
    "start": ["start", f"--stop={SUPERVISE} stop", f"--start={SUPERVISE} start /usr/local/bin/k3py server"],
}


def main() -> None:
    """Install from the file and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=300, help="of being idle")
    parser.add_argument("--only", default=",".join(COMMANDS))
    options = parser.parse_args()
    file = Path(os.environ["K3PY_TEST_SINGLE_FILE"])
    print(f"load of the machine before: {' '.join(f'{one:.1f}' for one in os.getloadavg())}", flush=True)
    with busybox_root() as root, Lab() as lab:
        for source, name in ((file, "k3py"), (file.with_name(file.name + ".sha256"), "k3py.sha256"), (PROJECT / "install.sh", "install.sh")):
            shutil.copy(source, lab.shared / name)
        node = BusyboxNode(lab.add_node("n1", lower=str(root)), lab)
        node.install(timeout_s=300)
        for name in options.only.split(","):
            arguments = [*COMMANDS[name], f"--seconds={options.seconds}"]
            print(node.run("k3py", "bench", *arguments, timeout_s=options.seconds + 600).stdout, end="", flush=True)


if __name__ == "__main__":
    main()
