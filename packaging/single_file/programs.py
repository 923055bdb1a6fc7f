"""Builds the Go programs, once a version: what is in the cache is taken from there."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parts import GoProgram

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Foreign:
    """C of another architecture: prefix of the compiler's name, and where libraries of that architecture lie unpacked."""

    prefix: str
    sysroot: Path

    def environment(self) -> dict[str, str]:
        """Return what Go needs to know for cgo."""
        return {
            "CC": f"{self.prefix}-gcc",
            "PKG_CONFIG_LIBDIR": str(self.sysroot / "usr/lib" / self.prefix / "pkgconfig"),
            "PKG_CONFIG_SYSROOT_DIR": str(self.sysroot),
        }


# Without these the toolchain's own settings or the folder of the build could change bytes.
_FLAGS = ("-trimpath", "-buildvcs=false")


def build_program(program: GoProgram, *, architecture: str, go: str, cache: Path, foreign: Foreign | None = None) -> Path:
    """Return the program, built now if the cache lacks it.

    Args:
        program: what to build.
        cache: the folder that keeps what was built.
        architecture: as Go names it, amd64 or arm64.
        go: the toolchain's command.
        foreign: how C is compiled for an architecture that is not this machine's.

    Raises:
        SystemExit: it cannot be built; says what the toolchain said.
    """
    toolchain = subprocess.run([go, "version"], check=True, capture_output=True, text=True).stdout
    sources = (
        [path.read_bytes() for path in sorted((HERE / program.folder).glob("*"))] if program.folder else []
    )
    key = hashlib.sha256(repr((program, architecture, toolchain, _FLAGS, sources)).encode()).hexdigest()[:16]
    target = cache / "go-programs" / key / Path(program.path).name
    if target.exists():
        return target
    print(f"building {program.path}: {program.module} {program.version}", flush=True)
    folder = target.parent / "new"
    folder.mkdir(parents=True, exist_ok=True)
    linker = ["-s", "-w", *(f"-X {one}" for one in program.variables)]
    if program.cgo:
        linker += ["-linkmode external", "-extldflags -static"]
    environment = os.environ | {
        "GOBIN": str(folder),
        "GOARCH": architecture,
        "CGO_ENABLED": "1" if program.cgo else "0",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "auto",
    }
    if foreign is not None:
        # Go installs for another architecture only below its own folder, whose modules stay where they are.
        modules = subprocess.run([go, "env", "GOMODCACHE"], check=True, capture_output=True, text=True).stdout.strip()
        del environment["GOBIN"]
        environment |= {"GOPATH": str(folder.absolute()), "GOMODCACHE": modules, **(foreign.environment() if program.cgo else {})}
    name = f"{program.module}/{program.package}".rstrip("/") + f"@{program.version}"
    flags = [*_FLAGS, "-tags", program.tags, "-ldflags", " ".join(linker)]
    if program.folder:
        name = "."
        command = [go, "build", *flags, "-o", str(folder / target.name), name]
    else:
        command = [go, "install", *flags, name]
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, cwd=HERE / program.folder
    )
    if done.returncode:
        raise SystemExit(f"cannot build {name}: {done.stderr[-3000:]}")
    built = next(path for path in folder.rglob("*") if path.is_file() and path.name == _built_name(program))
    built.rename(target)
    return target


def _built_name(program: GoProgram) -> str:
    """Return what Go calls the program: its folder's name, or that of the module without its version."""
    if program.folder:
        return Path(program.path).name
    parts = [one for one in f"{program.module}/{program.package}".split("/") if one]
    return parts[-2] if parts[-1].startswith("v") and parts[-1][1:].isdecimal() else parts[-1]


def find_source(program: GoProgram, *, go: str) -> Path:
    """Return the module's folder in Go's cache (for its license)."""
    command = [go, "mod", "download", "-json", f"{program.module}@{program.version}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    line = next(line for line in done.stdout.splitlines() if '"Dir"' in line)
    return Path(line.split('"')[3])
