"""Reads registries.yaml, K3s' file of that name.

Source: K3s docs "Private Registry Configuration"; rancher/wharfie and k3s pkg/agent/containerd.
"""

from __future__ import annotations

import base64
import binascii
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.api.go_regex import PatternError, compile_pattern
from k3py.config.fields import Fields, load_raw_document
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

ANY: Final = "*"
DEFAULT_FILE: Final = Path("/etc/k3py/registries.yaml")
_FLAG: Final = "--private-registry"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a registry, or a mirror of one, answers.

    path: of its API, "/v2" but for those that have it somewhere else.
    """

    scheme: str
    host: str
    path: str = "/v2"

    @property
    def url(self) -> str:
        """Return the URL of its API."""
        return f"{self.scheme}://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Mirror:
    """What stands in for a registry: endpoints in order, and (pattern, replacement) for names of repositories there."""

    endpoints: tuple[Endpoint, ...]
    rewrites: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """How to trust a host, and how to be known to it; files."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What is set for one host; auth: a CRI AuthConfig without server_address, None = no credentials."""

    tls: Tls = field(default_factory=Tls)
    auth: JsonObject | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """The file's content. default_endpoints: whether a mirrored registry itself is asked last."""

    mirrors: Mapping[str, Mirror] = field(default_factory=dict)
    hosts: Mapping[str, HostConfig] = field(default_factory=dict)
    default_endpoints: bool = True

    def mirror_of(self, registry: str) -> Mirror | None:
        """Return the mirror of a registry: its own one, else that of all."""
        return self.mirrors.get(registry) or self.mirrors.get(ANY)

    def config_of(self, host: str) -> HostConfig | None:
        """Return what is set for a host: its own, else that of all."""
        return self.hosts.get(host) or self.hosts.get(ANY)


def default_endpoint(registry: str) -> Endpoint:
    """Return where a registry itself answers."""
    return Endpoint("https", "registry-1.docker.io" if registry == "docker.io" else registry)


def load_registries(file: Path, *, explicit: bool, default_endpoints: bool = True) -> Registries:
    """Read the file. Blocking. A file that is missing is an error only when it was asked for by name.

    Raises:
        ConfigError: it cannot be read, or names a field that is wrong; never shows a value of `auth`.
    """
    if not explicit and not file.exists():
        return Registries(default_endpoints=default_endpoints)
    document = load_raw_document(file, _FLAG)
    fields = Fields({} if document is None else document, f"{_FLAG}: '{file}':")
    mirrors, configs = _entries(fields, "mirrors"), _entries(fields, "configs")
    fields.finish()
    hosts = {name: _read_config(one) for name, one in configs.items()}
    if any(one.auth for one in hosts.values()) and file.stat().st_mode & 0o077:
        log.warning("the file with registries' passwords can be read by others", extra={"file": str(file)})
    return Registries(
        mirrors={name: _read_mirror(name, one) for name, one in mirrors.items()},
        hosts=hosts,
        default_endpoints=default_endpoints,
    )


def _entries(fields: Fields, name: str) -> dict[str, Fields]:
    raw = fields.raw(name)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise fields.fault(name, "must be an object")
    found = {}
    for key, value in raw.items():
        host = str(key)
        if host != ANY and (not host or "/" in host or " " in host or host in (".", "..")):
            raise fields.fault(name, f"{host!r}: must be a registry's host, with its port if need be, or '*'")
        found[host] = Fields({} if value is None else value, f"{fields.path(name)}.{host}")
    return found


def _read_mirror(name: str, fields: Fields) -> Mirror:
    endpoints = []
    for index, text in enumerate(fields.texts("endpoint")):
        endpoint = _read_endpoint(text)
        if endpoint is None:
            raise fields.fault(
                f"endpoint[{index}]", f"{text!r}: must be a URL such as https://mirror.example:5000"
            )
        if endpoint != default_endpoint(name):
            endpoints.append(endpoint)
    rewrites = []
    raw = fields.raw("rewrite")
    if raw is not None and not isinstance(raw, dict):
        raise fields.fault("rewrite", "must be an object: pattern to replacement")
    for pattern, replacement in (raw or {}).items():
        try:
            compile_pattern(str(pattern))
        except PatternError as error:
            raise fields.fault("rewrite", f"{pattern!r}: {error}") from error
        if not isinstance(replacement, str):
            raise fields.fault("rewrite", f"{pattern!r}: the replacement must be a text")
        rewrites.append((str(pattern), replacement))
    fields.finish()
    return Mirror(tuple(endpoints), tuple(rewrites))


def _read_endpoint(text: str) -> Endpoint | None:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        return None
    path = parts.path.rstrip("/")
    return Endpoint(parts.scheme, parts.netloc, path or "/v2")


def _read_config(fields: Fields) -> HostConfig:
    auth, tls = fields.object("auth"), fields.object("tls")
    fields.finish()
    return HostConfig(_read_tls(tls) if tls else Tls(), _read_auth(auth) if auth else None)


def _read_tls(fields: Fields) -> Tls:
    files: dict[str, Path | None] = {}
    for name in ("ca_file", "cert_file", "key_file"):
        text = fields.text(name)
        files[name] = Path(text) if text else None
        if text and not Path(text).is_file():
            raise fields.fault(name, f"'{text}': no such file")
    if bool(files["cert_file"]) != bool(files["key_file"]):
        raise fields.fault("cert_file", "must be given together with key_file")
    found = Tls(files["ca_file"], files["cert_file"], files["key_file"], fields.flag("insecure_skip_verify"))
    fields.finish()
    return found


def _read_auth(fields: Fields) -> JsonObject:
    username, password = fields.text("username"), fields.text("password")
    both, token = fields.text("auth"), fields.text("identity_token") or fields.text("token")
    fields.finish()
    if both and not username:
        try:
            username, colon, password = base64.b64decode(both, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{fields.path('auth')}: must be the base64 of user:password") from error
        if not colon:
            raise fields.fault("auth", "must be the base64 of user:password")
    if not username and not token:
        raise ConfigError(f"{fields.where}: needs username and password, auth or token")
    return {"username": username, "password": password, "identity_token": token}
