"""Conditions of clients that are not an answer of the API server."""

from __future__ import annotations

from k3py.api.status import ApiError
from k3py.errors import K3pyError


class Unreachable(ApiError):
    """The API server could not be reached, or the connection broke before its answer was complete.

    Looks like a 503 to whoever only handles ApiErrors; whether a write was carried out is unknown.
    """

    def __init__(self, message: str) -> None:
        super().__init__(503, "ServiceUnavailable", message, retry_after_s=1)


class KubeconfigError(K3pyError):
    """A kubeconfig file that is missing, malformed or lacks what is asked for; names the file."""

    exit_code = 2
