"""Kinds of the group `coordination`, one a file."""
