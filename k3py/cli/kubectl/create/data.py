"""`create namespace|configmap|secret`. Source: kubectl v0.35 pkg/cmd/create."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_REGISTRY: Final = "https://index.docker.io/v1/"


def add_to(kinds: argparse._SubParsersAction[Any], parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add the generators."""
    namespace = kinds.add_parser("namespace", aliases=["ns"], parents=list(parents), allow_abbrev=False)
    namespace.add_argument("name")
    namespace.set_defaults(generate=make_namespace, told="")
    config_map = kinds.add_parser("configmap", aliases=["cm"], parents=list(parents), allow_abbrev=False)
    config_map.add_argument("name")
    _add_sources(config_map)
    config_map.set_defaults(generate=make_config_map, told="configmap:")
    secret = kinds.add_parser("secret", parents=[parents[0]], allow_abbrev=False)
    types = secret.add_subparsers(dest="secret_type", required=True, parser_class=type(secret))
    generic = types.add_parser("generic", parents=list(parents), allow_abbrev=False)
    generic.add_argument("name")
    generic.add_argument("--type", default="")
    _add_sources(generic)
    generic.set_defaults(generate=make_generic, told="secret")
    registry = types.add_parser("docker-registry", parents=list(parents), allow_abbrev=False)
    registry.add_argument("name")
    for flag in ("username", "password", "email"):
        registry.add_argument(f"--docker-{flag}", default="")
    registry.add_argument("--docker-server", default=_REGISTRY)
    registry.add_argument("--from-file", action="append", default=[])
    registry.set_defaults(generate=make_registry, told="secret")
    tls = types.add_parser("tls", parents=list(parents), allow_abbrev=False)
    tls.add_argument("name")
    tls.add_argument("--cert", required=True)
    tls.add_argument("--key", required=True)
    tls.set_defaults(generate=make_tls, told="secret")
    for one in (generic, registry, tls):
        from k3py.cli.kubectl.create import run_generator  # noqa: PLC0415 - the package imports this module

        one.set_defaults(run=run_generator)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from-literal", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--from-file", action="append", default=[], metavar="[KEY=]FILE")
    parser.add_argument("--from-env-file", action="append", default=[], metavar="FILE")


async def make_namespace(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001 - generators are called alike
    """Return a Namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": options.name},
        "spec": {},
        "status": {},
    }


async def make_config_map(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a ConfigMap; what is no text goes to binaryData."""
    made: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": options.name}}
    for key, value in _read_sources(options):
        try:
            made.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            made.setdefault("binaryData", {})[key] = base64.b64encode(value).decode()
    return {key: value for key, value in made.items() if value != {}}


async def make_generic(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a Secret of literals and files."""
    return _secret(options.name, dict(_read_sources(options)), options.type)


async def make_registry(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a Secret with which images are pulled."""
    kind = "kubernetes.io/dockerconfigjson"
    if options.from_file:
        files = dict(_from_files(options.from_file))
        return _secret(options.name, {".dockerconfigjson": next(iter(files.values()))}, kind)
    if not options.docker_username or not options.docker_password:
        raise ConfigError(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required"
        )
    login = {"username": options.docker_username, "password": options.docker_password}
    if options.docker_email:
        login["email"] = options.docker_email
    pair = f"{options.docker_username}:{options.docker_password}"
    login["auth"] = base64.b64encode(pair.encode()).decode()
    text = json.dumps({"auths": {options.docker_server: login}}, separators=(",", ":"))
    return _secret(options.name, {".dockerconfigjson": text.encode()}, kind)


async def make_tls(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a Secret with a certificate and its key."""
    pair = {"tls.crt": _read(options.cert), "tls.key": _read(options.key)}
    return _secret(options.name, pair, "kubernetes.io/tls")


def _secret(name: str, values: dict[str, bytes], kind: str) -> JsonObject:
    made: JsonObject = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    if values:
        made["data"] = {key: base64.b64encode(value).decode() for key, value in values.items()}
    if kind:
        made["type"] = kind
    return made


def _read_sources(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    if options.from_env_file and (options.from_literal or options.from_file):
        raise ConfigError("from-env-file cannot be combined with from-file or from-literal")
    seen: set[str] = set()
    for key, value in (
        *_from_files(options.from_file),
        *_from_literals(options.from_literal),
        *_from_env(options.from_env_file),
    ):
        if not _KEY.fullmatch(key):
            raise ConfigError(
                f"\"{key}\" is not valid key name: a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
            )
        if key in seen:
            raise ConfigError(f"cannot add key {key}, another key by that name already exists")
        seen.add(key)
        yield key, value


def _from_literals(literals: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for one in literals:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise ConfigError(f"invalid literal source {one}, expected key=value")
        yield (
            key,
            value.strip("\"'").encode() if value[:1] in "\"'" and value[:1] == value[-1:] else value.encode(),
        )


def _from_files(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for one in files:
        key, equals, name = one.rpartition("=")
        path = Path(name)
        if path.is_dir():
            if equals:
                raise ConfigError("cannot give a key name for a directory path")
            yield from (
                (file.name, _read(str(file)))
                for file in sorted(path.iterdir())
                if file.is_file() and _KEY.fullmatch(file.name)
            )
        else:
            yield key if equals else path.name, _read(name)


def _from_env(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for name in files:
        for raw in _read(name).decode(errors="replace").splitlines():
            line = raw.lstrip()
            if not line or line.startswith("#"):
                continue
            key, equals, value = line.partition("=")
            # A name alone takes its value from the environment.
            yield key, (value if equals else os.environ.get(key, "")).encode()


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"error reading {name}: {(error.strerror or '').lower()}") from error
