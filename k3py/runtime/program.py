"""Where the programs are that k3py runs: containerd, runc, CNI plugins, nft; the machine's, or those of the single file.

The single file's header puts its own folder of programs first on PATH, and names where it lies unpacked in K3PY_BUNDLE.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEM_DIRS: Final = tuple(
    Path(text) for text in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
)
CNI_DIRS: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_DEBIAN_PACKAGES: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
    "bridge": "containernetworking-plugins",
    "ip": "iproute2",
    "etcd": "etcd-server",
}


class MissingProgram(ConfigError):
    """A program that is not installed: no fault of the command line, so the exit code is that of a failure."""

    exit_code = 1


def search_path(bin_dir: Path | None = None) -> tuple[Path, ...]:
    """Return the folders to look in: k3py's own, those of PATH, the system's (PATH of a service often lacks sbin)."""
    own = () if bin_dir is None else (bin_dir,)
    of_path = tuple(Path(text) for text in os.environ.get("PATH", "").split(":") if text)
    return tuple(dict.fromkeys((*own, *of_path, *SYSTEM_DIRS)))


def find_program(name: str, bin_dir: Path | None = None) -> Path | None:
    """Return the first executable file of this name in the search path."""
    for folder in search_path(bin_dir):
        if os.access(folder / name, os.X_OK) and (folder / name).is_file():
            return folder / name
    return None


def get_program(name: str, bin_dir: Path | None = None) -> Path:
    """Return the program.

    Raises:
        MissingProgram: it is missing; names it and what to install.
    """
    found = find_program(name, bin_dir)
    if found is None:
        package = _DEBIAN_PACKAGES.get(name, name)
        raise MissingProgram(
            f"the program {name!r} is missing: install it (Debian, Ubuntu: apt-get install {package})"
        )
    return found


def get_cni_dir(bin_dir: Path | None = None, *, dirs: Sequence[Path] = CNI_DIRS) -> Path:
    """Return the folder of CNI plugins that has bridge, host-local, loopback and portmap.

    Raises:
        MissingProgram: there is none; names what lacks and what to install.
    """
    wanted = ("bridge", "host-local", "loopback", "portmap")
    bundle = os.environ.get("K3PY_BUNDLE")
    own: tuple[Path, ...] = () if bundle is None else (Path(bundle) / "bin/cni",)
    if bin_dir is not None:
        own = (bin_dir / "cni", bin_dir, *own)
    best: list[str] = list(wanted)
    for folder in (*own, *dirs):
        lacking = [name for name in wanted if not os.access(folder / name, os.X_OK)]
        if not lacking:
            return folder
        best = min(best, lacking, key=len)
    places = ", ".join(str(folder) for folder in (*own, *dirs))
    raise MissingProgram(
        f"CNI plugins are missing ({', '.join(best)}; looked in {places}): install them "
        "(Debian, Ubuntu: apt-get install containernetworking-plugins)"
    )
