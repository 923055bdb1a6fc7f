"""Devices that plugins announce as resources of the node (example.com/gpu: 4) and hand to containers."""
