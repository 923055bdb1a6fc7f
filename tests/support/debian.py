"""A bare Debian as a folder: made once by debootstrap, and machines on top of it that can be installed into and then booted in a lab."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.lab.node import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUITE: Final = "bookworm"
_CA_FILE: Final = "/etc/ssl/test-ca.crt"
_SYSTEM_CA: Final = Path("/etc/ssl/certs/ca-certificates.crt")
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Arguments: LOWER UPPER WORK ROOT PROJECT -- COMMAND…
_ENTER: Final = """
set -e
lower=$1 upper=$2 work=$3 root=$4 project=$5
shift 5
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir -p "$root$project"
mount --bind "$project" "$root$project"
mount -o remount,bind,ro "$root$project"
[ -e "$root/etc/resolv.conf" ] || touch "$root/etc/resolv.conf"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
# Not a chroot: what enters this namespace, such as a lab within it, has to arrive in this root.
mkdir -p "$root/run/old"
cd "$root"
pivot_root . run/old
umount --lazy /run/old
rmdir /run/old
exec "$@"
"""


class Unavailable(Exception):
    """A bare Debian cannot be made here; says why."""


def base_root() -> Path:
    """Return the root of a minimal Debian with Python, made at the first call and kept in the test cache.

    Raises:
        Unavailable: debootstrap is not installed, or the mirror does not answer.
    """
    cache = Path(os.environ.get("K3PY_TEST_CACHE") or PROJECT / ".cache")
    root = cache / f"debian-{SUITE}-{platform.machine()}"
    if root.exists():
        return root
    if shutil.which("debootstrap") is None:
        raise Unavailable("debootstrap is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix="debian-new-", dir=cache))
    new.chmod(0o755)
    command = ["debootstrap", "--variant=minbase", "--include=python3", SUITE, str(new)]
    # In a mount namespace: debootstrap leaves its /proc mounted.
    done = subprocess.run(["unshare", "--mount", "--", *command], check=False, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(new)
        raise Unavailable(f"debootstrap failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    for archive in (new / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    new.rename(root)
    return root


class BareMachine:
    """A Debian with nothing but its minimal set and Python; what commands change is kept until the context ends.

    Attributes:
        lower: what `Lab.add_node` takes to boot it, with all that was installed.
    """

    def __init__(self, base: str, folder: Path) -> None:
        self._base = base
        self._folder = folder
        self._upper, self._work, self._root = (folder / name for name in ("upper", "work", "root"))
        for path in (self._upper, self._work, self._root):
            path.mkdir()
        self._environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        self._carry_settings()

    @property
    def lower(self) -> str:
        """Layers for an overlay, the topmost first."""
        return f"{self._upper}:{self._base}"

    def run(
        self, command: Sequence[str], *, timeout_s: float = 600, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with this machine's network (to reach registries) and processes of its own; nothing of it stays running."""
        enter = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--"]
        enter += ["/bin/bash", "-c", _ENTER, "enter", self._base, str(self._upper), str(self._work)]
        enter += [str(self._root), str(PROJECT)]
        return subprocess.run(
            [*enter, *command],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            env=self._environment | (env or {}),
        )

    @contextmanager
    def layer(self) -> Iterator[BareMachine]:
        """Yield a machine on top of this one, whose changes do not reach it."""
        folder = Path(tempfile.mkdtemp(prefix="layer-", dir=self._folder))
        yield BareMachine(self.lower, folder)

    def _carry_settings(self) -> None:
        """Give the machine what this one needs to reach registries: proxies, certificates, apt's settings."""
        for name, value in os.environ.items():
            if (name.startswith("PIP_") and name != "PIP_FIND_LINKS") or name.lower().endswith("_proxy"):
                self._environment[name] = value
        certificates = _SYSTEM_CA
        for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            if name in os.environ:
                certificates = Path(os.environ[name])
                self._environment[name] = _CA_FILE
        lines = []
        for file in sorted(Path("/etc/apt/apt.conf.d").glob("*")):
            lines += [line for line in file.read_text().splitlines() if line.startswith("Acquire::")]
        target = self._upper / "etc/apt/apt.conf.d/99test"
        target.parent.mkdir(parents=True)
        target.write_text("\n".join([*lines, ""]))
        if certificates.exists():
            (self._upper / "etc/ssl").mkdir()
            shutil.copyfile(certificates, self._upper / _CA_FILE.lstrip("/"))


@contextmanager
def bare_machine() -> Iterator[BareMachine]:
    """Yield a bare machine, removed at the end.

    Raises:
        Unavailable: see `base_root`.
    """
    folder = Path(tempfile.mkdtemp(prefix="k3py-debian-", dir="/var/tmp"))
    try:
        yield BareMachine(str(base_root()), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
