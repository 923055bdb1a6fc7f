"""A flame graph as text: `py-spy record -f raw -o FILE --pid PID`, then `python -m tests.benchmarks.flame FILE [--least 2] [--thread NAME]`.

Each line: share of the samples, own share, and the function below its caller; functions of one child are joined with the child.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path


class Node:
    """A function as called from where it stands."""

    def __init__(self) -> None:
        self.total = self.own = 0
        self.calls: dict[str, Node] = defaultdict(Node)


def read(path: Path, thread: str) -> Node:
    """Read py-spy's raw form: `frame;frame;… count`; only stacks that hold `thread` somewhere."""
    root = Node()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if thread and thread not in stack:
            continue
        node = root
        root.total += int(count)
        for frame in stack.split(";"):
            node = node.calls[frame.rpartition(":")[0] or frame]
            node.total += int(count)
        node.own += int(count)
    return root


def lines(node: Node, whole: int, least: float, depth: int = 0) -> list[str]:
    """Return the lines of what a node calls."""
    found = []
    for name, one in sorted(node.calls.items(), key=lambda pair: -pair[1].total):
        share = one.total * 100 / whole
        if share < least:
            continue
        shown = [name]
        while len(one.calls) == 1 and one.own * 100 / whole < least:
            ((name, one),) = one.calls.items()  # noqa: PLW2901 - down to the next branch
            shown.append(name)
        short = " > ".join(part.replace(" (k3py/", " (") for part in shown[-2:])
        found.append(f"{share:5.1f} {one.own * 100 / whole:5.1f}  {'  ' * depth}{short}")
        found += lines(one, whole, least, depth + 1)
    return found


def main() -> None:
    """Print the graph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--least", type=float, default=2.0, help="leave out what has less, in percent")
    parser.add_argument("--thread", default="", help="only stacks that hold this text")
    options = parser.parse_args()
    root = read(options.file, options.thread)
    print("\n".join(lines(root, root.total, options.least)))


if __name__ == "__main__":
    main()
