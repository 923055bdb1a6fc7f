"""Structural schemas of custom resources: pruning, defaults, validation, list types. Pure; compiled to closures at first use."""
