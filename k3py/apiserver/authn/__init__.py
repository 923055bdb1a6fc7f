"""Authenticators: who a request is from; one way a file, joined by `union`."""
