"""Kinds of the group `discovery`, one a file."""
