"""How a webhook is reached: a URL or a Service. Source: k8s.io/apiserver/pkg/util/webhook/validation.go v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.api.fielderror import invalid_value, required
from k3py.api.names import find_dns1035_faults, find_subdomain_faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_FORM: Final = "desired format: https://host[/path]"
_REVIEWS: Final = ("v1", "v1beta1")


def validate_client(config: JsonObject, path: str) -> list[FieldError]:
    """Check a clientConfig."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if service is None:
        return _validate_url(str(url), f"{path}.url")
    return _validate_service(service, f"{path}.service")


def _validate_url(url: str, path: str) -> list[FieldError]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as fault:
        return [required(path, f"url must be a valid URL: {fault}; {_FORM}")]
    errors = []
    if parts.scheme != "https":
        errors.append(invalid_value(path, parts.scheme, f"'https' is the only allowed URL scheme; {_FORM}"))
    if not parts.netloc.rpartition("@")[2]:
        errors.append(invalid_value(path, "", f"host must be specified; {_FORM}"))
    if "@" in parts.netloc:
        errors.append(invalid_value(path, "", "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(invalid_value(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(invalid_value(path, parts.query, "query parameters are not permitted in the URL"))
    return errors


def _validate_service(service: JsonObject, path: str) -> list[FieldError]:
    # upstream names the field `name` for a missing namespace too
    errors = [
        required(f"{path}.name", f"service {key} is required")
        for key in ("name", "namespace")
        if not service.get(key)
    ]
    port = service.get("port")
    if port is not None and not 1 <= port <= 65535:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        errors.append(invalid_value(f"{path}.port", port, detail))
    if service.get("path") is not None:
        errors += _validate_path(service["path"], f"{path}.path")
    return errors


def _validate_path(place: str, path: str) -> list[FieldError]:
    if place in ("", "/"):
        return []
    if not place.startswith("/"):
        return [invalid_value(path, place, "must start with a '/'")]
    errors = []
    steps = place[1:].split("/")
    if len(steps) > 1 and not steps[-1]:
        steps.pop()
    for index, step in enumerate(steps):
        if not step:
            errors.append(invalid_value(path, place, f"segment[{index}] may not be empty"))
            continue
        errors += [
            invalid_value(path, place, f"segment[{index}]: {fault}") for fault in find_subdomain_faults(step)
        ]
    return errors


def validate_reviews(reviews: Sequence[str], path: str) -> list[FieldError]:
    """Check the versions of the review that a webhook understands."""
    if not reviews:
        return [required(path, f"must specify one of {', '.join(_REVIEWS)}")]
    errors: list[FieldError] = []
    for index, one in enumerate(reviews):
        if one in reviews[:index]:
            errors.append(invalid_value(f"{path}[{index}]", one, "duplicate version"))
        if faults := find_dns1035_faults(one):
            errors.append(invalid_value(f"{path}[{index}]", one, "; ".join(faults)))
    if not any(one in _REVIEWS for one in reviews):
        text = f"must include at least one of {', '.join(_REVIEWS)}"
        errors.append(invalid_value(path, list(reviews), text))
    return errors
