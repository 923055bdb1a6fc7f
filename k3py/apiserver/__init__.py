"""The Kubernetes API server: filters, verbs, registry, discovery, documents."""
