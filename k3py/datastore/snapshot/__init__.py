"""Snapshots of a store: made, listed, pruned and put back."""
