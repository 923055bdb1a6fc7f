"""The last resort: an exception that nobody expected becomes a 500 Status, logged once with the request's audit id."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError, internal_error
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.apiserver.exchange import Exchange

_LOG: Final = logging.getLogger(__name__)


def to_api_error(error: Exception, exchange: Exchange) -> ApiError:
    """Return how the API answers `error`.

    Messages of foreign exceptions may hold secrets (a repr of an object), so that they go to the log and not to the client.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError):
        return ApiError(
            504, "Timeout", "Timeout: request did not complete within the allotted timeout", details={}
        )
    info = exchange.info
    if isinstance(error, K3pyError):
        _LOG.error("%s %s failed: %s (audit id %s)", info.method, info.path, error, exchange.audit_id)
        return internal_error(str(error))
    _LOG.error("%s %s failed (audit id %s)", info.method, info.path, exchange.audit_id, exc_info=error)
    return internal_error(f"{type(error).__name__}, see the server's log under {exchange.audit_id}")
