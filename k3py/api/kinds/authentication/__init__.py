"""Kinds of the group `authentication`, one a file."""
