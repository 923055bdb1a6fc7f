"""Finds and reads the files of a manifests folder. Blocking.

Source: K3s pkg/deploy/controller.go, docs "Managing Packaged Components".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.names import find_subdomain_faults
from k3py.api.status import ApiError
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3py.jsontypes import JsonObject, JsonValue

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_MOST_BYTES: Final = 10 * 1024 * 1024


class ManifestError(K3pyError):
    """A file that cannot be used; says why. `reason` is that of its event."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file.

    name: of its Addon, the file's name up to the first dot. folder: the first folder below the manifests folder, "" = it lies there itself.
    """

    path: Path
    name: str
    folder: str

    @property
    def skipped(self) -> bool:
        """Say whether a file `<name>.skip` beside it takes it out."""
        return self.path.with_name(f"{self.path.name}.skip").exists()


@dataclass(frozen=True, slots=True)
class FoundManifests:
    """What lies in a manifests folder: files in order of their paths, and all folders, in which changes matter."""

    files: tuple[ManifestFile, ...]
    folders: tuple[Path, ...]


def find_manifests(root: Path) -> FoundManifests:
    """Look through the folder and those below it; links to folders are followed in the first one only. Raises OSError."""
    files: list[ManifestFile] = []
    folders: list[Path] = []
    for folder in _walk(root, top=True):
        folders.append(folder)
        below = folder.relative_to(root).parts
        files += [
            ManifestFile(path, path.name.split(".", 1)[0], below[0] if below else "")
            for path in sorted(folder.iterdir())
            if path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()
        ]
    return FoundManifests(tuple(files), tuple(folders))


def _walk(folder: Path, *, top: bool) -> Iterator[Path]:
    yield folder
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=top)
        )
    for name in names:
        yield from _walk(folder / name, top=False)


def read_manifest(file: ManifestFile) -> bytes:
    """Return what is in the file. Raises ManifestError."""
    try:
        with file.path.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ManifestError("ReadManifestFailed", f"cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise ManifestError("ReadManifestFailed", f"is larger than {_MOST_BYTES >> 20} MiB")
    return content


def parse_objects(file: ManifestFile, content: bytes) -> list[JsonObject]:
    """Return the objects of all documents, Lists opened. Raises ManifestError."""
    if faults := find_subdomain_faults(file.name):
        raise ManifestError(
            "ValidateManifestFailed", f"the name up to the first dot, {file.name!r}: {faults[0]}"
        )
    from k3py.api import yaml_codec  # noqa: PLC0415 - 20 ms that the server's start need not wait for

    try:
        documents = yaml_codec.load_all(content)
    except ApiError as error:
        raise ManifestError("ParseManifestFailed", error.message) from error
    return [
        one for number, document in enumerate(documents) for one in _open(document, f"document {number + 1}")
    ]


def _open(document: JsonValue, where: str) -> Iterator[JsonObject]:
    if not isinstance(document, dict):
        raise ManifestError("ParseManifestFailed", f"{where}: must be an object")
    kind, api_version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(api_version, str) or not kind or not api_version:
        raise ManifestError("ParseManifestFailed", f"{where}: kind and apiVersion: must be given")
    items = document.get("items")
    if kind.endswith("List") and isinstance(items, list):
        for number, item in enumerate(items):
            yield from _open(item, f"{where}: items[{number}]")
        return
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise ManifestError("ParseManifestFailed", f"{where}: {kind}: metadata.name: must be given")
    yield document
