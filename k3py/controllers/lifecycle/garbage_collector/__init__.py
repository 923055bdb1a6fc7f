"""Deletes what has lost its owners; finishes foreground and orphaning deletions."""
