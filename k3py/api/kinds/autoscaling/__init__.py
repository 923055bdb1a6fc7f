"""Kinds of the group `autoscaling`, one a file."""
