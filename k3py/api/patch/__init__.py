"""The four patch formats of the Kubernetes API."""
