"""Kinds of the group `storage.k8s.io`, one a file."""
