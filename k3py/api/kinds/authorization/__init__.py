"""Kinds of the group `authorization`, one a file."""
