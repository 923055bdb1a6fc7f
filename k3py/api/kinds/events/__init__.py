"""Kinds of the group `events`, one a file."""
