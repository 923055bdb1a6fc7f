"""Query parameters and DeleteOptions: parsing and validation.

Source: k8s.io/apimachinery/pkg/apis/meta/v1/validation/validation.go and pkg/apis/meta/internalversion/validation v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, forbidden_field, invalid_value, not_supported, required, too_long
from k3py.api.status import bad_request, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.apiserver.interface import ApiRequest
    from k3py.jsontypes import JsonObject

META_GROUP: Final = "meta.k8s.io"
APPLY: Final = "application/apply-patch+yaml"
_FALSE: Final = frozenset(("0", "f", "F", "false", "False", "FALSE"))
_TRUE: Final = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")
_PROPAGATIONS: Final = ("Background", "Foreground", "Orphan")
_LONGEST_MANAGER: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Options of create, update and patch; field_validation: "Ignore", "Warn" or "Strict"."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """Options of delete and deletecollection; None = not given. grace_period_s: seconds."""

    dry_run: bool = False
    grace_period_s: int | None = None
    propagation: str = ""
    orphan_dependents: bool | None = None
    uid: str | None = None
    resource_version: str | None = None


def parse_flag(text: str) -> bool:
    """Return a boolean query parameter; present without a value, and unknown words, count as true, as upstream."""
    return text not in _FALSE


def write_options(request: ApiRequest, options_kind: str) -> WriteOptions:
    """Parse and validate the options of a write; `options_kind` is e.g. "CreateOptions".

    Raises:
        ApiError: 422.
    """
    options = request.options
    errors: list[FieldError] = []
    dry_run = _dry_run(_values(request, "dryRun"), errors)
    manager = options.get("fieldManager", "")
    force_text = options.get("force")
    if options_kind == "PatchOptions":
        if request.patch_type == APPLY:
            if not manager:
                errors.append(required("fieldManager", "is required for apply patch"))
        elif force_text is not None:
            errors.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if len(manager.encode()) > _LONGEST_MANAGER:
        errors.append(too_long("fieldManager", _LONGEST_MANAGER))
    if not manager.isprintable():
        errors.append(invalid_value("fieldManager", manager, "should only contain printable characters"))
    validation = options.get("fieldValidation", "")
    if validation not in _VALIDATIONS:
        errors.append(not_supported("fieldValidation", validation, _VALIDATIONS))
    if errors:
        raise invalid(META_GROUP, options_kind, "", errors)
    return WriteOptions(
        dry_run=dry_run,
        field_manager=manager or manager_of(request.user_agent),
        field_validation=validation or "Warn",
        force=force_text is not None and parse_flag(force_text),
    )


def manager_of(user_agent: str) -> str:
    """Return the default field manager: the User-Agent's text before the first slash, 128 bytes at most."""
    prefix = user_agent.split("/", 1)[0]
    printable = "".join(char for char in prefix if char.isprintable())
    return printable.encode()[:_LONGEST_MANAGER].decode(errors="ignore") or "unknown"


def delete_options(request: ApiRequest) -> DeleteOptions:
    """Parse and validate DeleteOptions of the body or, with an empty body, of the query.

    Raises:
        ApiError: 400 for another kind of body, 422 for bad values.
    """
    body = request.body
    document: JsonObject = body if isinstance(body, dict) else {}
    if document:
        kind, version = document.get("kind") or "DeleteOptions", document.get("apiVersion") or "v1"
        if kind != "DeleteOptions":
            raise bad_request(
                f'cannot be handled as a DeleteOptions: no kind "{kind}" is registered for version "{version}"'
            )
    else:
        document = _from_query(request)
    errors: list[FieldError] = []
    dry_run = _dry_run(_list(document, "dryRun"), errors)
    policy = document.get("propagationPolicy")
    orphan = document.get("orphanDependents")
    if policy is not None and orphan is not None:
        errors.append(
            invalid_value(
                "propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"
            )
        )
    if policy is not None and policy not in _PROPAGATIONS:
        errors.append(not_supported("propagationPolicy", policy, (*_PROPAGATIONS, "nil")))
    if errors:
        raise invalid(META_GROUP, "DeleteOptions", "", errors)
    preconditions = document.get("preconditions") or {}
    grace = document.get("gracePeriodSeconds")
    if grace is not None and not isinstance(grace, int):
        raise bad_request("gracePeriodSeconds must be an integer")
    return DeleteOptions(
        dry_run=dry_run,
        grace_period_s=grace,
        propagation=policy or "",
        orphan_dependents=orphan,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )


def _from_query(request: ApiRequest) -> JsonObject:
    options = request.options
    document: JsonObject = {}
    if values := _values(request, "dryRun"):
        document["dryRun"] = list(values)
    if grace := options.get("gracePeriodSeconds"):
        try:
            document["gracePeriodSeconds"] = int(grace)
        except ValueError as error:
            raise bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax') from error
    if "propagationPolicy" in options:
        document["propagationPolicy"] = options["propagationPolicy"]
    if "orphanDependents" in options:
        document["orphanDependents"] = parse_flag(options["orphanDependents"])
    preconditions = {
        key: options[f"preconditions.{key}"]
        for key in ("uid", "resourceVersion")
        if f"preconditions.{key}" in options
    }
    if preconditions:
        document["preconditions"] = preconditions
    return document


def _values(request: ApiRequest, name: str) -> Sequence[str]:
    """Return all values of a repeated parameter; callers inside the process set `options` alone."""
    many = request.multi_options.get(name)
    if many is not None:
        return many
    return (request.options[name],) if name in request.options else ()


def _list(document: JsonObject, key: str) -> Sequence[str]:
    value = document.get(key) or ()
    if not isinstance(value, list | tuple):
        raise bad_request(f"{key} must be a list")
    return value


def _dry_run(values: Sequence[str], errors: list[FieldError]) -> bool:
    if any(one != "All" for one in values):
        errors.append(FieldError("dryRun", "FieldValueNotSupported", 'supported values: "All"', list(values)))
    return bool(values)
