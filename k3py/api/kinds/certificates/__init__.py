"""Kinds of the group `certificates`, one a file."""
