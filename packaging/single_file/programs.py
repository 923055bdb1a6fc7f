"""Builds the Go programs, once a version: what is in the cache is taken from there."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parts import GoProgram

HERE = Path(__file__).parent

# Without these the toolchain's own settings or the folder of the build could change bytes.
_FLAGS = ("-trimpath", "-buildvcs=false")


def build_program(program: GoProgram, *, architecture: str, go: str, cache: Path) -> Path:
    """Return the program, built now if the cache lacks it.

    Args:
        program: what to build.
        cache: the folder that keeps what was built.
        architecture: as Go names it, amd64 or arm64.
        go: the toolchain's command.

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
    built = next(path for path in folder.rglob("*") if path.is_file())
    built.rename(target)
    return target


def find_source(program: GoProgram, *, go: str) -> Path:
    """Return the module's folder in Go's cache (for its license)."""
    command = [go, "mod", "download", "-json", f"{program.module}@{program.version}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    line = next(line for line in done.stdout.splitlines() if '"Dir"' in line)
    return Path(line.split('"')[3])
