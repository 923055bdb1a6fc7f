"""A lab by hand: boots nodes, runs a command or a shell in the first one, and removes everything at the end."""

from __future__ import annotations

import argparse
import shlex
import sys

from tests.support.lab import Lab
from tests.support.lab.node import PROJECT


def main() -> int:
    """Parse arguments, run, return the command's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.lab", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1, help="how many (default 1): n1, n2, …")
    parser.add_argument("--wait", action="store_true", help="run nothing, wait for Ctrl-C or end of input")
    parser.add_argument("command", nargs="*", default=["/bin/bash"], help="what to run in n1 (default: a shell)")
    arguments = parser.parse_args()
    with Lab() as lab:
        for number in range(1, arguments.nodes + 1):
            node = lab.add_node(f"n{number}")
            print(f"{node.name} {node.address}: {shlex.join(node.enter_command())}", file=sys.stderr, flush=True)
        print(f"shared folder: {lab.shared}", file=sys.stderr, flush=True)
        if arguments.wait:
            try:
                sys.stdin.read()
            except KeyboardInterrupt:
                return 0
            return 0
        with lab.nodes["n1"].popen(arguments.command, cwd=PROJECT) as process:
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
