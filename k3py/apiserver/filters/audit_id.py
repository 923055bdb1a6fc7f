"""The Audit-Id header: a request's own, or a new one. Source: k8s.io/apiserver/pkg/endpoints/filters/audit_init.go v0.35."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 64


def choose_audit_id(headers: Mapping[str, str]) -> str:
    """Return the id under which a request is known in logs and in its answer's Audit-Id."""
    given = headers.get("Audit-Id", "")
    if given and given.isascii() and given.isprintable():
        return given[:_LONGEST]
    return str(uuid.uuid4())
