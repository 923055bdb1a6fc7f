"""Kinds of the group `scheduling`, one a file."""
