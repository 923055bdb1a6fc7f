"""Recorded histories of a datastore, and what must hold of them: linearizability and the guarantees of watches."""
