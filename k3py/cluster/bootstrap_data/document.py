"""The shared files as one JSON document: name → {Content (base64), Timestamp} (J-72). Pure."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.timestamps import format_time
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 1024 * 1024
"""Of a document; a real one has some 10 kB."""

_MOST_FILES: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_FRACTION: Final = re.compile(r"\.\d+")
_UNDATED: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class BadBootstrapData(K3pyError):
    """What was found or sent is no bootstrap data, or not this cluster's."""


@dataclass(frozen=True, slots=True)
class SharedFile:
    """Content of a file, and when it was last changed."""

    content: bytes
    changed: dt.datetime

    def __repr__(self) -> str:
        return f"SharedFile({len(self.content)} bytes, {self.changed:%Y-%m-%dT%H:%M:%SZ})"


def encode(files: Mapping[str, SharedFile]) -> bytes:
    """Return the document."""
    return orjson.dumps(
        {
            name: {
                "Timestamp": format_time(one.changed),
                "Content": base64.b64encode(one.content).decode(),
            }
            for name, one in sorted(files.items())
        }
    )


def decode(document: bytes) -> dict[str, SharedFile]:
    """Read a document, also one of the old form (name → base64), whose files count as old.

    Raises:
        BadBootstrapData: it is not one; the message does not show its content.
    """
    if len(document) > MOST_BYTES:
        raise BadBootstrapData(f"bootstrap data: {len(document)} bytes: must be at most {MOST_BYTES}")
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise BadBootstrapData("bootstrap data: must be a JSON object of files")
    if len(parsed) > _MOST_FILES:
        raise BadBootstrapData(f"bootstrap data: {len(parsed)} files: must be at most {_MOST_FILES}")
    return {name: _read(name, one) for name, one in parsed.items()}


def _read(name: str, one: object) -> SharedFile:
    if not _NAME.fullmatch(name):
        raise BadBootstrapData(f"bootstrap data: {name[:80]!r}: must be a name of letters and digits")
    text, stamp = (one.get("Content"), one.get("Timestamp")) if isinstance(one, dict) else (one, None)
    try:
        content = base64.b64decode(text or "", validate=True) if isinstance(text, str | None) else None
        changed = _time(stamp) if isinstance(stamp, str) else _UNDATED
    except (binascii.Error, ValueError):
        content, changed = None, _UNDATED
    if content is None:
        raise BadBootstrapData(f"bootstrap data: {name}: must have Content in base64 and a Timestamp")
    return SharedFile(content, changed)


def _time(text: str) -> dt.datetime:
    parsed = dt.datetime.fromisoformat(_FRACTION.sub("", text))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)
