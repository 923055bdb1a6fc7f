"""Nodes on one machine: namespaces with their own disk, network and control groups, and no way out.

    with Lab() as lab:
        node = lab.add_node("n1")
        node.run(["containerd", "--version"])

By hand: `python -m tests.support.lab [--nodes N] [-- COMMAND]`.
"""

from tests.support.lab.lab import Lab
from tests.support.lab.node import Node, NodeProcess

__all__ = ["Lab", "Node", "NodeProcess"]
