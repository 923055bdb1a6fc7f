"""Kinds of the group `node`, one a file."""
