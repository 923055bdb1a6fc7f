"""Conditions of storage as the API answers them: the one place of that translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.status import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    expired,
    internal_error,
    not_found,
)
from k3py.storage.errors import (
    BadContinueToken,
    ObjectExists,
    ObjectNotFound,
    PreconditionFailed,
    RevisionExpired,
    RevisionTooLarge,
    StorageError,
    StorageFull,
    StoreDropped,
    TooManyWatchers,
)

if TYPE_CHECKING:
    from k3py.api.kind import Kind

CHANGED: str = "the object has been modified; please apply your changes to the latest version and try again"


def to_api_error(error: StorageError, kind: Kind, name: str) -> ApiError:
    """Return what the API answers for a storage error about the object `name` of `kind`.

    Source: k8s.io/apiserver/pkg/registry/generic/registry and pkg/storage/errors/storage.go v0.35.
    """
    if isinstance(error, ObjectNotFound):
        return not_found(kind.group, kind.plural, name)
    if isinstance(error, ObjectExists):
        return already_exists(kind.group, kind.plural, name)
    if isinstance(error, PreconditionFailed):
        return conflict(kind.group, kind.plural, name, str(error))
    if isinstance(error, BadContinueToken):
        return bad_request(str(error))
    if isinstance(error, RevisionExpired):
        return _expired(error)
    if isinstance(error, RevisionTooLarge):
        return _too_large(error)
    if isinstance(error, TooManyWatchers | StoreDropped):
        return expired(str(error))
    if isinstance(error, StorageFull):
        return ApiError(507, "InsufficientStorage", f"the datastore is full: {error}")
    return ApiError(
        503,
        "ServiceUnavailable",
        f"the datastore is not available: {error}",
        retry_after_s=1,
    )


def _expired(error: RevisionExpired) -> ApiError:
    if not error.next_token:
        return expired(str(error))
    return ExpiredContinue(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        error.next_token,
    )


class ExpiredContinue(ApiError):
    """410 for an expired continue token; the Status' metadata holds the token that goes on regardless."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(410, "Expired", message)
        self.token = token

    def to_status(self) -> dict[str, object]:
        """Return the Status with metadata.continue."""
        status = super().to_status()
        status["metadata"] = {"continue": self.token}
        return status


def _too_large(error: RevisionTooLarge) -> ApiError:
    return ApiError(
        504,
        "Timeout",
        str(error),
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        },
        retry_after_s=1,
    )


def bad_resource_version(text: str) -> ApiError:
    """500 without a reason, as upstream answers GET, watch and create with a bad resourceVersion."""
    return ApiError(500, "", f"invalid resource version {text!r}")


def internal(message: str) -> ApiError:
    """500 InternalError."""
    return internal_error(message)
