"""Kinds that are questions: they are answered when they are created, and never stored."""
