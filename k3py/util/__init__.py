"""Domain-free building blocks: tasks, clock, files, processes. Knows nothing of Kubernetes."""
