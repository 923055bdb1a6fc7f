"""Kinds of the group `core`, one a file."""
