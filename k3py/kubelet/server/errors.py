"""How requests to the kubelet's server fail."""

from __future__ import annotations

from k3py.errors import K3pyError


class RequestError(K3pyError):
    """An answer other than success; the message is its body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
