"""Kinds of the group `batch`, one a file."""
