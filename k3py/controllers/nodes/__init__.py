"""Controllers of nodes: life cycle, pod ranges."""
