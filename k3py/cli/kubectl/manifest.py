"""Reads manifests: a file, `-` for standard input, or a folder of files; YAML with several documents, or JSON; Lists are opened."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject


def read_manifests(names: Sequence[str]) -> list[JsonObject]:
    """Return all objects in order. Raises ConfigError: see `read_sources`."""
    return [obj for _, obj in read_sources(names)]


def read_sources(names: Sequence[str], *, generated_names: bool = False) -> list[tuple[str, JsonObject]]:
    """Return all objects in order, each with its file, "STDIN" for standard input; with `generated_names`, metadata.generateName will do.

    Raises:
        ConfigError: a file is missing, is not YAML, or holds something else than objects with apiVersion, kind and a name.
    """
    import yaml  # noqa: PLC0415 - only needed where manifests are read

    objects: list[tuple[str, JsonObject]] = []
    for name in names:
        for source, text in _texts(name):
            try:
                documents = list(yaml.safe_load_all(text))
            except yaml.YAMLError as error:
                raise ConfigError(
                    f"--filename: {source}: not valid YAML: {' '.join(str(error).split())}"
                ) from error
            for document in documents:
                if document is not None:
                    found = _open(document, source, generated_names=generated_names)
                    objects += [("STDIN" if name == "-" else source, one) for one in found]
    if not objects:
        raise ConfigError(f"--filename: {', '.join(names)}: holds no objects")
    return objects


def _texts(name: str) -> list[tuple[str, str]]:
    if name == "-":
        return [("standard input", sys.stdin.read())]
    path = Path(name)
    files = (
        sorted(one for one in path.iterdir() if one.suffix in (".yaml", ".yml", ".json"))
        if path.is_dir()
        else [path]
    )
    try:
        return [(str(file), file.read_text(encoding="utf-8")) for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--filename: {name}: cannot be read: {error}") from error


def _open(document: object, source: str, *, generated_names: bool) -> list[JsonObject]:
    if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
        raise ConfigError(f"--filename: {source}: every document must have apiVersion and kind")
    if document["kind"] == "List":
        return [
            one
            for item in document.get("items") or ()
            for one in _open(item, source, generated_names=generated_names)
        ]
    metadata = document.get("metadata") or {}
    if not metadata.get("name") and not (generated_names and metadata.get("generateName")):
        raise ConfigError(f"--filename: {source}: {document['kind']}: metadata.name: must be given")
    return [document]
