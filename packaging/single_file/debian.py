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


def unpack_packages(names: tuple[str, ...], *, cache: Path, into: Path) -> tuple[Package, ...]:
    """Unpack the packages' newest versions into one folder; those that the cache has are not fetched again.

    Raises:
        SystemExit: apt knows no such package (say `apt-get update`), or it cannot be fetched.
    """
    folder = cache / "debian-packages"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = [Package(name, _candidate(name)) for name in names]
        archives = [_fetch(package, folder) for package in found]
    except _Unknown:
        # Lists of packages that are old name versions that are gone.
        subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        try:
            found = [Package(name, _candidate(name)) for name in names]
            archives = [_fetch(package, folder) for package in found]
        except _Unknown as error:
            raise SystemExit(str(error)) from error
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(into)], check=True)
    return tuple(found)


class _Unknown(Exception):
    """apt has no such package."""


def _candidate(name: str) -> str:
    shown = subprocess.run(["apt-cache", "policy", name], check=True, capture_output=True, text=True).stdout
    version = next((line.split()[1] for line in shown.splitlines() if "Candidate:" in line), "(none)")
    if version == "(none)":
        raise _Unknown(f"apt knows no package {name!r}; this needs Debian 12")
    return version


def _fetch(package: Package, folder: Path) -> Path:
    version = package.version.replace(":", "%3a")
    present = list(folder.glob(f"{package.name}_{version}_*.deb"))
    if not present:
        print(f"fetching {package.name} {package.version}", flush=True)
        command = ["apt-get", "download", "-q", f"{package.name}={package.version}"]
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise _Unknown(f"cannot fetch {package.name} {package.version}: {done.stderr[-1000:]}")
        present = list(folder.glob(f"{package.name}_{version}_*.deb"))
    return present[0]
