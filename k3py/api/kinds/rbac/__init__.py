"""Kinds of the group `rbac`, one a file."""
