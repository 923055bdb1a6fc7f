"""Kinds of the group `apps`, one a file."""
