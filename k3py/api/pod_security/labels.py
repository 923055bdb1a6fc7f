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


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultLevels:
    """Levels of namespaces that say nothing."""

    enforce: LevelVersion = LevelVersion()
    audit: LevelVersion = LevelVersion()
    warn: LevelVersion = LevelVersion()


_DEFAULTS: Final = DefaultLevels()


def read_policy(
    labels: Mapping[str, str] | None, mode: str, defaults: DefaultLevels = _DEFAULTS
) -> LevelVersion:
    """Return the level of a mode ("enforce", "audit", "warn"); what cannot be read is restricted, so that a typing error opens nothing.

    Without a label of its own, `warn` follows a stricter `enforce`.
    """
    found = labels or {}
    own = _read_mode(found, mode, getattr(defaults, mode))
    if mode == "warn" and PREFIX + mode not in found:
        enforced = _read_mode(found, "enforce", defaults.enforce)
        return enforced if enforced.strictness > own.strictness else own
    return own


def _read_mode(labels: Mapping[str, str], mode: str, default: LevelVersion) -> LevelVersion:
    level = labels.get(PREFIX + mode, default.level)
    if level not in LEVELS:
        level = "restricted"
    text = labels.get(f"{PREFIX}{mode}-version")
    if text is None:
        return LevelVersion(level, default.minor)
    minor = read_version(text)
    return LevelVersion(level, LATEST if minor is None else minor)


def read_version(text: str) -> int | None:
    """Return the minor version of "v1.x", `LATEST` for "latest", None for anything else."""
    if text == "latest":
        return LATEST
    match = _VERSION.match(text)
    return int(match[1]) if match else None


def validate_policy_labels(labels: Mapping[str, str] | None) -> list[FieldError]:
    """Check the labels of a namespace."""
    errors: list[FieldError] = []
    for mode in _MODES:
        level = (labels or {}).get(PREFIX + mode)
        if level is not None and level not in LEVELS:
            path = f"metadata.labels[{PREFIX}{mode}]"
            errors.append(invalid_value(path, level, f"must be one of {', '.join(LEVELS)}"))
        version = (labels or {}).get(f"{PREFIX}{mode}-version")
        if version is not None and read_version(version) is None:
            path = f"metadata.labels[{PREFIX}{mode}-version]"
            errors.append(invalid_value(path, version, 'must be "latest" or "v1.x"'))
    return errors
