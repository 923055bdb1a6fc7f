"""The API group metrics.k8s.io: how much CPU and memory nodes and pods use now."""
