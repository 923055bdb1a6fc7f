"""Errors of the Kubernetes API as one exception, and their Status document.

Raised by apiserver, by clients (rebuilt from the answer) and caught by controllers. Codes and reasons: api-machinery.md §1.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ApiError(K3pyError):
    """A failed API request.

    Attributes:
        code: HTTP status.
        reason: upstream's machine-readable reason ("NotFound", …; "" where upstream sends none).
        message: human sentence.
        details: the Status' `details`, or None.
        retry_after_s: value of Retry-After, or None.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: JsonObject | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s

    def to_status(self) -> JsonObject:
        """Return the Status object (kind, apiVersion, metadata, status, message, reason, details, code)."""
        status: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        details = dict(self.details) if self.details is not None else None
        if self.retry_after_s is not None:
            details = details or {}
            details["retryAfterSeconds"] = self.retry_after_s
        if details is not None:
            status["details"] = details
        status["code"] = self.code
        return status

    def has_cause(self, reason: str) -> bool:
        """Say whether one of the causes in `details` has this reason."""
        return any(one.get("reason") == reason for one in (self.details or {}).get("causes") or ())

    @classmethod
    def from_status(cls, status: JsonObject, *, http_code: int = 500) -> ApiError:
        """Rebuild the error from a Status document that a server answered."""
        details = status.get("details")
        return cls(
            int(status.get("code") or http_code),
            str(status.get("reason", "")),
            str(status.get("message", "")),
            details=details,
            retry_after_s=(details or {}).get("retryAfterSeconds"),
        )


def _details(group: str, plural: str, name: str) -> JsonObject:
    details: JsonObject = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if plural:
        details["kind"] = plural
    return details


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> ApiError:
    """400 BadRequest: body, selector or parameter that cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """401 Unauthorized."""
    return ApiError(401, "Unauthorized", message)


def forbidden(group: str, plural: str, name: str, message: str) -> ApiError:
    """403 Forbidden: authorization, admission or quota said no."""
    subject = f'{_qualified(group, plural)} "{name}"' if name else _qualified(group, plural)
    text = f"{subject} is forbidden: {message}" if plural else f"forbidden: {message}"
    return ApiError(403, "Forbidden", text, details=_details(group, plural, name))


def not_found(group: str, plural: str, name: str) -> ApiError:
    """404 NotFound: no such object."""
    return ApiError(
        404,
        "NotFound",
        f'{_qualified(group, plural)} "{name}" not found',
        details=_details(group, plural, name),
    )


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """409 AlreadyExists: create of an existing name."""
    text = f'{_qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, details=_details(group, plural, name))


def conflict(group: str, plural: str, name: str, message: str) -> ApiError:
    """409 Conflict: resourceVersion, uid or precondition does not match."""
    text = f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {message}'
    return ApiError(409, "Conflict", text, details=_details(group, plural, name))


def expired(message: str) -> ApiError:
    """410 Expired: the asked-for resourceVersion was compacted."""
    return ApiError(410, "Expired", message)


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422 Invalid with one cause per field error."""
    details = _details(group, kind, name)
    details["causes"] = [error.to_cause() for error in errors]
    listed = ", ".join(str(error) for error in errors)
    if len(errors) > 1:
        listed = f"[{listed}]"
    text = f'{_qualified(group, kind)} "{name}" is invalid: {listed}'
    return ApiError(422, "Invalid", text, details=details)


def method_not_allowed(group: str, plural: str, verb: str) -> ApiError:
    """405 MethodNotAllowed: the resource has no such verb."""
    text = f"{verb} is not supported on resources of kind {_qualified(group, plural)!r}"
    return ApiError(405, "MethodNotAllowed", text, details=_details(group, plural, ""))


def internal_error(message: str) -> ApiError:
    """500 InternalError; `message` must hold nothing secret."""
    return ApiError(
        500,
        "InternalError",
        f"Internal error occurred: {message}",
        details={"causes": [{"message": message}]},
    )
