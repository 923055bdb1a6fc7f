"""Takes secrets out of texts and objects: what is known to be one, what looks like one, and fields that may hold any."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject, JsonValue

GONE: Final = "[redacted]"
_SHORTEST: Final = 6
"""Shorter values would take ordinary words out; fields that may hold secrets are emptied whatever their length."""

_NAMES: Final = r"pass(?:word|wd|phrase)?|secret|token|credential|api[-_]?key|access[-_]?key|private[-_]?key|client-key-data|auth"
_PATTERNS: Final = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", GONE),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", GONE),  # JSON web tokens
        (r"\bK10[0-9a-f]{16,}::\S+", GONE),  # join tokens
        (r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", GONE),  # bootstrap tokens
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", GONE),
        (r"(?i)\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", rf"\1 {GONE}"),
        (r"(\w[\w+.-]*://[^\s/:@]*):[^\s@]+@", rf"\1:{GONE}@"),
        # name=value, name: value, "name": "value", --name value
        (
            rf"(?i)([\w.-]*(?:{_NAMES})[\w-]*[\"']?\s*[=:]\s*)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&\"']+)",
            rf"\1{GONE}",
        ),
        (rf"(?i)(--[\w-]*(?:{_NAMES})[\w-]*\s+)(?!-)(\S+)", rf"\1{GONE}"),
    )
)
_SECRET_KEY: Final = re.compile(rf"(?i).*(?:{_NAMES})")
_HIDDEN_ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Redactor:
    """Knows the secrets of this machine and cluster.

    Args:
        secrets: texts that must appear nowhere, in no encoding that logs and objects use.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            for one in (secret, *secret.split()):
                if len(one) >= _SHORTEST:
                    forms |= {one, quote(one, safe=""), one.encode("unicode_escape").decode()}
                    forms |= _encoded(one.encode())
        # The longest first, so that no rest of a longer one stays.
        self._known = (
            re.compile("|".join(re.escape(one) for one in sorted(forms, key=len, reverse=True)))
            if forms
            else None
        )

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(GONE, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def document(self, document: JsonValue) -> JsonValue:
        """Return a document without secrets; whatever a key that sounds like one holds as text goes, too."""
        return self._value(document)

    def object(self, obj: JsonObject) -> JsonObject:
        """Return an object of the API without what may hold secrets: data of Secrets and ConfigMaps, values of environment variables."""
        shown = {key: self._value(value) for key, value in obj.items()}
        if obj.get("kind") in ("Secret", "ConfigMap"):
            for field in ("data", "stringData", "binaryData"):
                if field in obj:
                    shown[field] = {
                        key: f"[{len(value)} characters]" for key, value in (obj[field] or {}).items()
                    }
        metadata = dict(shown.get("metadata") or {})
        metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if annotations and _HIDDEN_ANNOTATION in annotations:
            metadata["annotations"] = {
                key: value for key, value in annotations.items() if key != _HIDDEN_ANNOTATION
            }
        return shown | {"metadata": metadata}

    def _value(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if isinstance(value, dict):
            # Environment variables, headers of probes, parameters: a name and a value that may be anything.
            named = "name" in value and isinstance(value.get("value"), str)
            return {
                key: GONE
                if (named and key == "value") or (isinstance(one, str) and _SECRET_KEY.fullmatch(key))
                else self._value(one)
                for key, one in value.items()
            }
        return value


def _encoded(data: bytes) -> set[str]:
    """Return how base64 shows these bytes, whatever stands before and behind them (three ways to fall into its groups of three)."""
    found = set()
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + data).decode().rstrip("=")
        # The first characters hold what is before, the last one may hold what comes behind.
        inner = text[-(-shift * 8 // 6) : len(data + bytes(shift)) * 8 // 6]
        if len(inner) >= _SHORTEST:
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found
