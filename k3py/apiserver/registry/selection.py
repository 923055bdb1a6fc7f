"""List options: selectors, resourceVersion, paging; shared by list, watch and deletecollection.

Source: k8s.io/apimachinery/pkg/apis/meta/internalversion/validation and k8s.io/apiserver/pkg/endpoints/handlers/get.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, forbidden_field, not_supported
from k3py.api.selectors import (
    FieldSelector,
    FieldTerm,
    LabelSelector,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)
from k3py.api.status import bad_request, invalid
from k3py.apiserver.registry.options import META_GROUP, parse_flag
from k3py.storage.interface import ListQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.kind import Kind
    from k3py.apiserver.registry.call import Call

_ALIASES: Final = {
    ("", "pods", "spec.host"): "spec.nodeName",
    # The newer form of events lies in the store as the older one.
    **{
        ("events.k8s.io", "events", f"regarding.{field}"): f"involvedObject.{field}"
        for field in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    },
    ("events.k8s.io", "events", "reportingController"): "reportingComponent",
}
_MATCHES: Final = ("Exact", "NotOlderThan", "")


def parse_labels(options: Mapping[str, str]) -> LabelSelector | None:
    """Return the label selector of the query. Raises ApiError 400."""
    text = options.get("labelSelector", "")
    if not text:
        return None
    try:
        return parse_label_selector(text)
    except SelectorError as error:
        raise bad_request(str(error)) from error


def parse_fields(call: Call) -> FieldSelector | None:
    """Return the field selector of the query, joined with a name in the path (watches of one object).

    Raises:
        ApiError: 400, unparsable, a field that the kind does not offer, or a name that contradicts the path's.
    """
    text = call.request.options.get("fieldSelector", "")
    name = call.request.name
    if not text and not name:
        return None
    try:
        selector = parse_field_selector(text)
    except SelectorError as error:
        raise bad_request(str(error)) from error
    terms = [_resolve(call.kind, term) for term in selector.terms]
    if name:
        pinned = selector.find_exact("metadata.name")
        if pinned is not None and pinned != name:
            raise bad_request(
                f"both metadata.name in the path ({name}) and a different one in the field selector ({pinned}) are given"
            )
        if pinned is None:
            terms.append(FieldTerm("metadata.name", name))
    return FieldSelector(tuple(terms)) if terms else None


def _resolve(kind: Kind, term: FieldTerm) -> FieldTerm:
    alias = _ALIASES.get((kind.group, kind.plural, term.field))
    field = alias or term.field
    if (
        alias is None
        and field not in ("metadata.name", "metadata.namespace")
        and field not in kind.selectable_fields
    ):
        if kind.group == "batch":
            raise bad_request(f'field label "{term.field}" not supported for {kind.kind}')
        # Kinds with conversions of their own say it otherwise than apimachinery's default one.
        if kind.selectable_fields:
            raise bad_request(f"field label not supported: {term.field}")
        known = '"metadata.name", "metadata.namespace"'
        raise bad_request(f'"{term.field}" is not a known field selector: only {known}')
    return term if field == term.field else FieldTerm(field, term.value, term.equal)


def parse_limit(options: Mapping[str, str]) -> int:
    """Return the page size, 0 = all. Raises ApiError 400."""
    text = options.get("limit", "")
    try:
        return max(int(text), 0) if text else 0
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def validate_list_options(options: Mapping[str, str], *, watch: bool) -> None:
    """Check how resourceVersion, resourceVersionMatch, continue and sendInitialEvents go together. Raises ApiError 422."""
    match = options.get("resourceVersionMatch", "")
    version = options.get("resourceVersion", "")
    errors: list[FieldError] = []
    if watch:
        errors += _validate_watch(options, match)
    elif "sendInitialEvents" in options:
        errors.append(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        if match:
            errors += _validate_match(match, version, options)
    elif match:
        errors += _validate_match(match, version, options)
    if errors:
        raise invalid(META_GROUP, "ListOptions", "", errors)


def _validate_match(match: str, version: str, options: Mapping[str, str]) -> list[FieldError]:
    path = "resourceVersionMatch"
    errors: list[FieldError] = []
    if not version:
        errors.append(
            forbidden_field(path, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        )
    if options.get("continue"):
        errors.append(forbidden_field(path, "resourceVersionMatch is forbidden when continue is provided"))
    if match not in _MATCHES:
        errors.append(not_supported(path, match, _MATCHES))
    if match == "Exact" and version == "0":
        errors.append(
            forbidden_field(path, 'resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
        )
    return errors


def _validate_watch(options: Mapping[str, str], match: str) -> list[FieldError]:
    path = "resourceVersionMatch"
    errors: list[FieldError] = []
    if "sendInitialEvents" in options and match != "NotOlderThan":
        errors.append(
            forbidden_field(path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        )
    if match:
        if "sendInitialEvents" not in options:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            errors.append(forbidden_field(path, text))
        if match != "NotOlderThan":
            errors.append(not_supported(path, match, ("NotOlderThan",)))
        if options.get("continue"):
            errors.append(
                forbidden_field(path, "resourceVersionMatch is forbidden when continue is provided")
            )
    return errors


def list_query(call: Call) -> ListQuery:
    """Return the query of a list or deletecollection request.

    Raises:
        ApiError: 400, 422.
    """
    options = call.request.options
    labels, fields, limit = parse_labels(options), parse_fields(call), parse_limit(options)
    validate_list_options(options, watch=False)
    text = options.get("resourceVersion", "")
    token = options.get("continue", "")
    if text and not text.isdigit():
        raise bad_request(f'invalid resource version "{text}"')
    if token and text not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    return ListQuery(
        namespace=call.namespace,
        labels=labels,
        fields=fields,
        limit=limit,
        continue_token=token,
        revision=int(text or 0),
        match=options.get("resourceVersionMatch", ""),
        any_cached=text == "0",
    )


def is_set(options: Mapping[str, str], name: str) -> bool:
    """Say whether a boolean parameter is given and true."""
    return name in options and options[name] != "" and parse_flag(options[name])
