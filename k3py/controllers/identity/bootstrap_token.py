"""Secrets of bootstrap tokens, as both of their controllers read them.

Source: kubernetes/staging/src/k8s.io/cluster-bootstrap/token v0.35.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import parse_time

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

NAMESPACE: Final = "kube-system"
SELECTOR: Final = "type=bootstrap.kubernetes.io/token"
LONGEST_SLEEP_S: Final = 3600.0  # the wall clock may be set meanwhile

_NAME: Final = re.compile(r"bootstrap-token-([a-z0-9]{6})")
_LONG_AGO: Final = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


def find_expiration(secret: JsonObject) -> dt.datetime | None:
    """Return when a token ends, None = never; one whose time cannot be read has ended long ago."""
    text = _text(secret, "expiration")
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError:
        return _LONG_AGO


def find_signing_key(secret: JsonObject, now: dt.datetime) -> tuple[str, str] | None:
    """Return id and secret of a token that signs, None when it does not."""
    match = _NAME.fullmatch(secret["metadata"]["name"])
    token_id, token = _text(secret, "token-id"), _text(secret, "token-secret")
    ends = find_expiration(secret)
    usable = match is not None and match[1] == token_id and bool(token) and (ends is None or now < ends)
    return (token_id, token) if usable and _text(secret, "usage-bootstrap-signing") == "true" else None


def _text(secret: JsonObject, key: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
