"""Authorizers: RBAC, the node authorizer, the superuser group; joined by `union`."""
