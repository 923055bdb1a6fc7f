"""Conditions of joining."""

from __future__ import annotations

from k3py.errors import ConfigError, K3pyError


class JoinRefused(K3pyError):
    """The server answered and said no; trying again without a change does not help. The message holds no token."""


class TokenRefused(JoinRefused):
    """The server does not accept what was shown to it."""


class ServerUnreachable(K3pyError):
    """The server does not answer, or is not ready yet; worth another try."""


class WrongAuthority(ConfigError):
    """The server's CA is not the one that the token pins: another cluster, or somebody in between."""
