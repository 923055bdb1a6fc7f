"""containerd's hosts.toml of each registry, which say where its images are and how to trust that place. No credentials are in them.

Source: containerd docs/hosts.md. The default endpoint is always asked last by containerd; to leave it out, the last mirror is put in its place.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from k3py.runtime.registries.settings import ANY, Endpoint, Tls, default_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.runtime.registries.settings import Registries

_EVERYTHING: Final = "_default"
_MARK: Final = "# Made by k3py at each start from registries.yaml; changes here are lost."


def render_hosts(registries: Registries) -> dict[str, str]:
    """Return the text of each registry's file, by the name of its folder. Pure."""
    mirrored = {
        endpoint.host: Endpoint(endpoint.scheme, endpoint.host)
        for one in registries.mirrors.values()
        for endpoint in one.endpoints
    }  # a rewritten name is pulled from the mirror as from a registry of its own
    names = {*registries.mirrors, *registries.hosts, *mirrored}
    return {
        _EVERYTHING if name == ANY else name: _render(name, registries, mirrored.get(name))
        for name in sorted(names)
    }


def _render(name: str, registries: Registries, own: Endpoint | None) -> str:
    lines = [_MARK]
    # A file of its own keeps containerd from reading the one of all; but a mirror itself is not looked for at others.
    mirror = registries.mirrors.get(name) or (registries.mirrors.get(ANY) if own is None else None)
    endpoints = list(mirror.endpoints) if mirror else []
    server = None if name == ANY else (own or default_endpoint(name))
    if endpoints and not registries.default_endpoints:
        server = endpoints.pop()
    if server is not None:
        lines += [f"server = {_quote(server.url)}", *_settings(server, registries)]
    elif ANY in registries.hosts:
        lines += _tls(registries.hosts[ANY].tls)
    lines += ["", "[host]"]  # containerd 1.6 refuses a file without this table
    for endpoint in endpoints:
        lines += ["", f"[host.{_quote(endpoint.url)}]", '  capabilities = ["pull", "resolve"]']
        lines += [f"  {line}" for line in _settings(endpoint, registries)]
    return "\n".join(lines) + "\n"


def _settings(endpoint: Endpoint, registries: Registries) -> list[str]:
    config = registries.config_of(endpoint.host)
    if config is None and endpoint == default_endpoint("docker.io"):
        config = registries.config_of("docker.io")
    lines = _tls(config.tls) if config else []
    return lines + ([] if endpoint.path == "/v2" else ["override_path = true"])


def _tls(tls: Tls) -> list[str]:
    lines = []
    if tls.ca is not None:
        lines.append(f"ca = {_quote(str(tls.ca))}")
    if tls.certificate is not None and tls.key is not None:
        lines.append(f"client = [[{_quote(str(tls.certificate))}, {_quote(str(tls.key))}]]")
    if tls.insecure:
        lines.append("skip_verify = true")
    return lines


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_hosts(folder: Path, registries: Registries) -> None:
    """Make `folder` say what `registries` says; files that others put there stay. Blocking. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = render_hosts(registries)
    for found in folder.iterdir():
        file = found / "hosts.toml"
        if found.name not in wanted and file.is_file() and file.read_text().startswith(_MARK):
            shutil.rmtree(found)
    for name, text in wanted.items():
        file = folder / name / "hosts.toml"
        file.parent.mkdir(exist_ok=True)
        if not file.is_file() or file.read_text() != text:
            file.write_text(text)
