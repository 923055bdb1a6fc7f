"""Writes the packaged manifests into the manifests folder. Blocking.

They are written anew at each start when they differ, so changes to them are lost: `<file>.skip` keeps a file from being applied, `--disable`
takes it away.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

PACKAGED: Final = ("local-storage", "runtimes")
"""Names of the files that are always written, without suffix; `--disable` knows them by these."""


def stage_manifests(folder: Path, *, disabled: Collection[str], variables: Mapping[str, str]) -> None:
    """Write each file that is not disabled. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in PACKAGED:
        if name not in disabled:
            write_manifest(folder, name, render_manifest(name, variables))


def render_manifest(name: str, variables: Mapping[str, str]) -> str:
    """Return a packaged manifest; `%{NAME}%` in it becomes the variable's value."""
    text = resources.files("k3py.addons.packaged").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    for key, value in variables.items():
        text = text.replace(f"%{{{key}}}%", value)
    return text


def write_manifest(folder: Path, name: str, text: str) -> bool:
    """Write a file unless it is skipped or says the same already; tell whether it was written. Raises OSError."""
    path, content = folder / f"{name}.yaml", text.encode()
    if path.with_name(f"{path.name}.skip").exists() or (path.is_file() and path.read_bytes() == content):
        return False
    write_atomically(path, content)
    return True
