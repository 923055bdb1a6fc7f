"""`--kube-apiserver-arg name=value`: flags of kube-apiserver that k3py honours (C-42); any other is refused by name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import parse_duration
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_FLAG: Final = "--kube-apiserver-arg"
_NANOSECONDS: Final = 1_000_000_000
_HOUR_S: Final = 3600
_MOST_S: Final = 1 << 32

Argument = str | int | float | bool | Path | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiServerArguments:
    """Read values by name of the flag; a flag that was not given is absent."""

    values: Mapping[str, Argument] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self.values.get(name, default)
        assert isinstance(value, str)
        return value

    def path(self, name: str) -> Path | None:
        """Return a file."""
        value = self.values.get(name)
        assert value is None or isinstance(value, Path)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list."""
        value = self.values.get(name, ())
        assert isinstance(value, tuple)
        return value

    def number(self, name: str, default: int) -> int:
        """Return a whole number."""
        value = self.values.get(name, default)
        assert isinstance(value, int)
        return value

    def seconds(self, name: str, default: float) -> float:
        """Return a duration in seconds."""
        value = self.values.get(name, default)
        assert isinstance(value, int | float)
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(name, default)
        assert isinstance(value, bool)
        return value


def parse_api_server_arguments(given: Sequence[str]) -> ApiServerArguments:
    """Read the arguments in order: of one that is given twice the last counts, lists grow.

    Raises:
        ConfigError: an argument that k3py does not know, or a value that is not of its type.
    """
    values: dict[str, Argument] = {}
    for one in given:
        name, equals, text = one.removeprefix("--").partition("=")
        read = _READERS.get(name)
        if read is None:
            raise ConfigError(
                f"{_FLAG}: {name!r}: k3py has no such argument of kube-apiserver; it has {', '.join(_READERS)}"
            )
        if not equals and read is not _read_flag:
            raise ConfigError(f"{_FLAG}: {name!r}: must be name=value")
        try:
            value = read(text)
        except ValueError as error:
            raise ConfigError(f"{_FLAG}: {name}={text}: {error}") from None
        before = values.get(name)
        if isinstance(before, tuple) and isinstance(value, tuple):
            value = before + value
        values[name] = value
    _check_together(values)
    return ApiServerArguments(values)


def _check_together(values: Mapping[str, Argument]) -> None:
    """Refuse what kube-apiserver refuses together."""
    oidc = [name for name in values if name.startswith("oidc-")]
    if "authentication-config" in values and oidc:
        raise ConfigError(f"{_FLAG}: authentication-config: cannot be given together with {oidc[0]}")
    if oidc and not (values.get("oidc-issuer-url") and values.get("oidc-client-id")):
        raise ConfigError(f"{_FLAG}: oidc-issuer-url and oidc-client-id: must be given together")
    modes = [name for name in values if name.startswith("authorization-") and name != "authorization-config"]
    if "authorization-config" in values and modes:
        raise ConfigError(f"{_FLAG}: authorization-config: cannot be given together with {modes[0]}")
    wants_webhook = "Webhook" in (values.get("authorization-mode") or ())  # type: ignore[operator] # a tuple
    if wants_webhook != ("authorization-webhook-config-file" in values):
        raise ConfigError(
            f"{_FLAG}: authorization-mode=Webhook and authorization-webhook-config-file: must be given together"
        )
    if ("audit-log-path" in values or "audit-webhook-config-file" in values) != (
        "audit-policy-file" in values
    ):
        raise ConfigError(
            f"{_FLAG}: audit-policy-file: must be given together with audit-log-path or audit-webhook-config-file"
        )

    longest_s = values.get("service-account-max-token-expiration")
    if longest_s is not None and not _HOUR_S <= float(str(longest_s)) <= _MOST_S:
        raise ConfigError(f"{_FLAG}: service-account-max-token-expiration: must be from 1h to 2^32 seconds")


def _read_text(text: str) -> str:
    return text


def _read_texts(text: str) -> tuple[str, ...]:
    return tuple(one for one in (part.strip() for part in text.split(",")) if one)


def _read_path(text: str) -> Path:
    if not text:
        raise ValueError("must be a file")
    return Path(text).absolute()


def _read_output(text: str) -> Path:
    return Path(text) if text == "-" else _read_path(text)


def _read_issuer(text: str) -> tuple[str, ...]:
    if ":" in text and not re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", text, re.IGNORECASE):
        raise ValueError("must be a URL, or a text without colons")
    if not text:
        raise ValueError("must not be empty")
    return (text,)  # repeated, the first signs and all are accepted


def _read_https(text: str) -> str:
    if not text.startswith("https://"):
        raise ValueError("must be a URL that starts with https://")
    return text


def _read_number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("must be a whole number")
    return int(text)


def _read_duration(text: str) -> float:
    try:
        return parse_duration(text) / _NANOSECONDS
    except ValueError:
        raise ValueError("must be a duration such as 30s or 5m") from None


def _read_flag(text: str) -> bool:
    if text not in ("", "true", "false"):
        raise ValueError("must be true or false")
    return text != "false"


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be {' or '.join(allowed)}")
        return text

    return read


def _read_modes(text: str) -> tuple[str, ...]:
    known = ("Node", "RBAC", "Webhook", "AlwaysAllow", "AlwaysDeny")
    modes = _read_texts(text)
    for one in modes:
        if one not in known:
            raise ValueError(f"must be a list of {', '.join(known)}")
    if not modes or len(set(modes)) != len(modes):
        raise ValueError("must name at least one mode, and none twice")
    return modes


_READERS: Final[Mapping[str, Callable[[str], Argument]]] = {
    "admission-control-config-file": _read_path,
    "anonymous-auth": _read_flag,
    "audit-log-compress": _read_flag,
    "audit-log-format": _one_of("json"),
    "audit-log-maxage": _read_number,
    "audit-log-maxbackup": _read_number,
    "audit-log-maxsize": _read_number,
    "audit-log-path": _read_output,
    "audit-policy-file": _read_path,
    "audit-webhook-batch-buffer-size": _read_number,
    "audit-webhook-batch-max-size": _read_number,
    "audit-webhook-batch-max-wait": _read_duration,
    "audit-webhook-config-file": _read_path,
    "audit-webhook-initial-backoff": _read_duration,
    "authentication-config": _read_path,
    "authentication-token-webhook-cache-ttl": _read_duration,
    "authentication-token-webhook-config-file": _read_path,
    "authentication-token-webhook-version": _one_of("v1", "v1beta1"),
    "authorization-config": _read_path,
    "authorization-mode": _read_modes,
    "authorization-webhook-cache-authorized-ttl": _read_duration,
    "authorization-webhook-cache-unauthorized-ttl": _read_duration,
    "authorization-webhook-config-file": _read_path,
    "authorization-webhook-version": _one_of("v1", "v1beta1"),
    "disable-admission-plugins": _read_texts,
    "enable-admission-plugins": _read_texts,
    "encryption-provider-config": _read_path,
    "max-mutating-requests-inflight": _read_number,
    "max-requests-inflight": _read_number,
    "oidc-ca-file": _read_path,
    "oidc-client-id": _read_text,
    "oidc-groups-claim": _read_text,
    "oidc-groups-prefix": _read_text,
    "oidc-issuer-url": _read_text,
    "oidc-required-claim": _read_texts,
    "oidc-signing-algs": _read_texts,
    "oidc-username-claim": _read_text,
    "oidc-username-prefix": _read_text,
    "api-audiences": _read_texts,
    "service-account-extend-token-expiration": _read_flag,
    "service-account-issuer": _read_issuer,
    "service-account-jwks-uri": _read_https,
    "service-account-max-token-expiration": _read_duration,
    "token-auth-file": _read_path,
}
