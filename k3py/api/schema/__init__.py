"""Compact type schemas generated at build time: defaults, pruning, merge keys, protobuf numbers."""
