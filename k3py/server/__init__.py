"""Composition root of `k3py server`."""
