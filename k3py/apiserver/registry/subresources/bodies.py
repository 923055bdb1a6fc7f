"""Kinds that are only ever bodies of subresource requests: decoded and answered, never stored or listed in discovery."""

from __future__ import annotations

from typing import Final

from k3py.api.kind import Kind, StoragePolicy
from k3py.api.status import bad_request


def _body(group: str, version: str, kind: str, package: str) -> Kind:
    plural = f"{kind.lower()}s"
    return Kind(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        verbs=(),
        schema=f"io.k8s.api.{package}.{version}.{kind}",
        storage=StoragePolicy(prefix=plural),
    )


SCALE: Final = _body("autoscaling", "v1", "Scale", "autoscaling")
BINDING: Final = _body("", "v1", "Binding", "core")
EVICTION: Final = _body("policy", "v1", "Eviction", "policy")
TOKEN_REQUEST: Final = _body("authentication.k8s.io", "v1", "TokenRequest", "authentication")


def check_body_name(own: str, name: str, what: str) -> None:
    """Check that a body belongs to the URL's object. Raises ApiError 400."""
    if own != name:
        raise bad_request(f"name in URL does not match name in {what} object")
