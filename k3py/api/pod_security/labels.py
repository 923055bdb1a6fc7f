"""The labels of a namespace that choose levels. Source: k8s.io/pod-security-admission/api v0.35."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import invalid_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.fielderror import FieldError

LEVELS: Final = ("privileged", "baseline", "restricted")
PREFIX: Final = "pod-security.kubernetes.io/"
_MODES: Final = ("enforce", "audit", "warn")
_VERSION: Final = re.compile(r"v1\.(0|[1-9][0-9]*)\Z")
LATEST: Final = 10**9


@dataclass(frozen=True, slots=True)
class LevelVersion:
    """A level as of a minor version; `LATEST` follows the server."""

    level: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"

    @property
    def strictness(self) -> int:
        """Return 0 for what lets everything in."""
        return LEVELS.index(self.level)


def read_policy(labels: Mapping[str, str] | None, mode: str) -> LevelVersion:
    """Return the level of a mode ("enforce", "warn"); what cannot be read is restricted, so that a typing error opens nothing.

    Without a label of its own, `warn` follows `enforce`.
    """
    found = labels or {}
    if mode == "warn" and PREFIX + mode not in found:
        mode = "enforce"
    level = found.get(PREFIX + mode, "privileged")
    if level not in LEVELS:
        level = "restricted"
    match = _VERSION.match(found.get(f"{PREFIX}{mode}-version", ""))
    return LevelVersion(level, int(match[1]) if match else LATEST)


def validate_policy_labels(labels: Mapping[str, str] | None) -> list[FieldError]:
    """Check the labels of a namespace."""
    errors: list[FieldError] = []
    for mode in _MODES:
        level = (labels or {}).get(PREFIX + mode)
        if level is not None and level not in LEVELS:
            path = f"metadata.labels[{PREFIX}{mode}]"
            errors.append(invalid_value(path, level, f"must be one of {', '.join(LEVELS)}"))
        version = (labels or {}).get(f"{PREFIX}{mode}-version")
        if version is not None and version != "latest" and not _VERSION.match(version):
            path = f"metadata.labels[{PREFIX}{mode}-version]"
            errors.append(invalid_value(path, version, 'must be "latest" or "v1.x"'))
    return errors
