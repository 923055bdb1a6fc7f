"""Kinds of the group `policy`, one a file."""
