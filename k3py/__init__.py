"""k3py: a lightweight Kubernetes distribution in one Python process."""
