"""Handlers of subresources, one a file; `k3py.apiserver.registry.table` says which resource has which."""
