"""Conditions of keys and certificates."""

from __future__ import annotations

from k3py.errors import K3pyError


class PkiError(K3pyError):
    """A key or certificate file that cannot be used; the message names the file and what to do."""


class InvalidToken(K3pyError):
    """A service-account token that is malformed, expired, for others, or not signed by us; the message holds no token."""
