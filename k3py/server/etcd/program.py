"""Which etcd runs as the child: the one on PATH or in the single file, if its version is fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.runtime.program import get_program
from k3py.util.process import run

if TYPE_CHECKING:
    from pathlib import Path

Version = tuple[int, int, int]

OLDEST: Final[Version] = (3, 4, 0)
_LOSES_DATA: Final[tuple[Version, Version]] = (3, 5, 0), (3, 5, 4)
_INSTALL: Final = "install another one (Debian, Ubuntu: apt-get install etcd-server), or use the single file built --with-etcd"


class UnfitProgram(K3pyError):
    """The etcd that was found must not be used; says why and what to install."""


async def find_etcd() -> tuple[Path, Version]:
    """Return the program and its version.

    Raises:
        MissingProgram: there is none; names the package.
        UnfitProgram: it is too old, or known to lose data.
    """
    program = get_program("etcd")
    shown = await run([program, "--version"], timeout_s=30)
    return program, check_version(program, shown.stdout.decode(errors="replace"))


def check_version(program: Path, shown: str) -> Version:
    """Return the version that `etcd --version` shows. Raises UnfitProgram."""
    found = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", shown)
    if found is None:
        raise UnfitProgram(f"{program} does not tell its version: it is no etcd; {_INSTALL}")
    version = (int(found[1]), int(found[2]), int(found[3]))
    text = ".".join(found.groups())
    if version < OLDEST:
        raise UnfitProgram(
            f"{program} is etcd {text}: must be 3.4 or newer (members join as learners); {_INSTALL}"
        )
    if _LOSES_DATA[0] <= version <= _LOSES_DATA[1]:
        raise UnfitProgram(
            f"{program} is etcd {text}: 3.5.0 to 3.5.4 can lose data when they are killed; {_INSTALL}"
        )
    return version
