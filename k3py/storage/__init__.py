"""Kubernetes objects over the datastore, with one watch cache a kind."""
