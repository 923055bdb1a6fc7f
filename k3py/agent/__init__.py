"""Composition root of `k3py agent`."""
