"""Ways for pods of one node to reach pods of another: one file a backend, planned alike."""
