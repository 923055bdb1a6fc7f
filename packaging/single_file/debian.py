"""Fetches and unpacks Debian's packages: their files, and which version they are."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Package:
    """An unpacked package; all of a build lie in one folder."""

    name: str
    version: str


def unpack_packages(
    names: tuple[str, ...], *, cache: Path, into: Path, architecture: str
) -> tuple[Package, ...]:
    """Unpack the packages' newest versions into one folder; those that the cache has are not fetched again.

    Packages of another architecture come through lists of apt's own kind in the cache: this machine's settings stay as they are.

    Raises:
        SystemExit: apt knows no such package (say `apt-get update`), or it cannot be fetched.
    """
    folder = cache / "debian-packages"
    folder.mkdir(parents=True, exist_ok=True)
    apt = _Apt(architecture, cache)
    try:
        found = [Package(name, apt.candidate(name)) for name in names]
        archives = [apt.fetch(package, folder) for package in found]
    except _Unknown:
        # Lists of packages that are old name versions that are gone.
        apt.update()
        try:
            found = [Package(name, apt.candidate(name)) for name in names]
            archives = [apt.fetch(package, folder) for package in found]
        except _Unknown as error:
            raise SystemExit(str(error)) from error
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(into)], check=True)
    return tuple(found)


class _Unknown(Exception):
    """apt has no such package."""


class _Apt:
    """apt for one architecture."""

    def __init__(self, architecture: str, cache: Path) -> None:
        self._architecture = architecture
        self._options: list[str] = []
        own = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
        if architecture != own:
            folder = cache.absolute() / f"apt-{architecture}"
            for name in ("state/lists/partial", "cache/archives/partial"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / "status").touch()
            settings = {
                "APT::Architecture": architecture,
                "APT::Architectures": architecture,
                "Dir::State": f"{folder}/state",
                "Dir::State::status": f"{folder}/status",
                "Dir::Cache": f"{folder}/cache",
                "APT::Sandbox::User": "root",
            }
            self._options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

    def update(self) -> None:
        """Fetch the lists of packages."""
        subprocess.run(["apt-get", *self._options, "update", "-q"], check=True, stdout=subprocess.DEVNULL)

    def candidate(self, name: str) -> str:
        """Return the newest version. Raises _Unknown."""
        command = ["apt-cache", *self._options, "policy", name]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        version = next((line.split()[1] for line in shown.splitlines() if "Candidate:" in line), "(none)")
        if version == "(none)":
            raise _Unknown(f"apt knows no package {name!r}; this needs Debian 12")
        return version

    def fetch(self, package: Package, folder: Path) -> Path:
        """Return the archive of a package, fetched now if the folder lacks it. Raises _Unknown."""
        version = package.version.replace(":", "%3a")
        names = [f"{package.name}_{version}_{one}.deb" for one in (self._architecture, "all")]
        if not any((folder / name).exists() for name in names):
            print(f"fetching {package.name} {package.version} ({self._architecture})", flush=True)
            command = ["apt-get", *self._options, "download", "-q", f"{package.name}={package.version}"]
            done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise _Unknown(f"cannot fetch {package.name} {package.version}: {done.stderr[-1000:]}")
        return next(folder / name for name in names if (folder / name).exists())
