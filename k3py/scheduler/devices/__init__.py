"""Devices for claims of pods (dynamic resource allocation)."""
