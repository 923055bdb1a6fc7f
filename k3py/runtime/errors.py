"""Conditions of container runtimes."""

from __future__ import annotations

from k3py.errors import K3pyError


class RuntimeFailure(K3pyError):
    """The runtime refused or failed; the message is its own.

    code: name of the gRPC status, "" = no answer came.
    """

    code: str = ""


class RuntimeUnavailable(RuntimeFailure):
    """The runtime's socket does not answer."""


class RuntimeNotFound(RuntimeFailure):
    """No such sandbox, container or image."""


class RuntimeTimeout(RuntimeFailure):
    """A call took longer than its deadline."""


class ImagePullFailed(RuntimeFailure):
    """An image cannot be pulled."""


class RuntimeUnsupported(RuntimeFailure):
    """This runtime does not have the call."""
