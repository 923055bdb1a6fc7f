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

PACKAGED: Final = ("local-storage",)
"""Names of the files, without suffix; `--disable` knows them by these."""


def stage_manifests(folder: Path, *, disabled: Collection[str], variables: Mapping[str, str]) -> None:
    """Write each file that is not disabled; `%{NAME}%` in it becomes the variable's value. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in PACKAGED:
        path = folder / f"{name}.yaml"
        if name in disabled or path.with_name(f"{path.name}.skip").exists():
            continue
        text = resources.files("k3py.addons.packaged").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        for key, value in variables.items():
            text = text.replace(f"%{{{key}}}%", value)
        content = text.encode()
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
