"""Credentials of image registries out of imagePullSecrets. Pure.

Source: pkg/credentialprovider v1.35: the longest matching registry entry wins; entries may hold globs in host parts and a path.
"""

from __future__ import annotations

import base64
import binascii
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject


def split_image(image: str) -> tuple[str, str]:
    """Return (registry host, repository) of an image name, with Docker Hub's defaults and without tag and digest."""
    name = image.partition("@")[0]
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        host, path = head, rest
    else:
        host, path = "docker.io", name
    last = path.rpartition("/")[2]
    if ":" in last:
        path = path[: -len(last.partition(":")[2]) - 1]
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return host, path


def with_default_tag(image: str) -> str:
    """Return the name with ":latest" when it has neither tag nor digest."""
    if "@" in image or ":" in image.rpartition("/")[2]:
        return image
    return f"{image}:latest"


def find_credentials(image: str, secrets: Iterable[JsonObject]) -> list[JsonObject]:
    """Return CRI AuthConfigs that fit an image, best first."""
    host, path = split_image(image)
    found: list[tuple[int, JsonObject]] = []
    for secret in secrets:
        for registry, entry in _entries(secret).items():
            pattern = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
            for suffix in ("/v1", "/v2"):
                pattern = pattern.removesuffix(suffix)
            wanted, _, prefix = pattern.partition("/")
            if wanted == "index.docker.io":
                wanted = "docker.io"
            if fnmatchcase(host, wanted) and (not prefix or path == prefix or path.startswith(f"{prefix}/")):
                found.append((len(pattern), _auth(entry, registry)))
    return [auth for _, auth in sorted(found, key=lambda one: -one[0])]


def _entries(secret: JsonObject) -> dict[str, JsonObject]:
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            document = orjson.loads(base64.b64decode(data[".dockerconfigjson"]))
            return dict(document.get("auths") or {})
        if ".dockercfg" in data:
            return dict(orjson.loads(base64.b64decode(data[".dockercfg"])))
    except (binascii.Error, orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        return {}
    return {}


def _auth(entry: JsonObject, registry: str) -> JsonObject:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth") and not username:
        try:
            decoded = base64.b64decode(entry["auth"]).decode()
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        username, _, password = decoded.partition(":")
    return {
        "username": username,
        "password": password,
        "identity_token": entry.get("identitytoken", ""),
        "server_address": registry,
    }
