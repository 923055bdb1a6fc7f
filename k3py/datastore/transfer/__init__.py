"""Moves the content of a store: to a file, from a file, from one driver to another; every way checked by key count and hash."""
