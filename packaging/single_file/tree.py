"""Assembles the tree that is packed: programs, Python with its library, k3py with its packages, licenses and a list of all parts.

bin/        what is started: containerd, its shim, runc, cni/…, k3py; short scripts for what needs the loader
lib/        the loader, the C library, all shared libraries, python3.11/
libexec/    what the scripts start: Python, nft, …
packages/   k3py and the packages of requirements.txt, compiled
share/      licenses, list of parts, examples, scripts
"""

from __future__ import annotations

import os
import platform
import py_compile
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from parts import DEBIAN_PACKAGES, LINKED_PROGRAMS, UNUSED_MODULES

PROJECT = Path(__file__).parents[2]
TRIPLET = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
LOADER = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
PYTHON = "python3.11"
_ELF_MACHINE = {"amd64": 62, "arm64": 183}

_SCRIPT = """#!/bin/sh
root=${{0%/*}}/..
exec "$root/lib/{loader}" --library-path "$root/lib" --argv0 "$0" "$root/libexec/{name}" "$@"
"""
_MAIN = "import sys\n\nfrom k3py.__main__ import main\n\nsys.exit(main())\n"
# For compiling C, for type checkers, for tests.
_UNUSED_FILES = (".pyi", ".pyx", ".pxd", ".c", ".h", ".typed", ".a")
_UNUSED_FOLDERS = ("tests", "test", "__pycache__", "include")


def assemble(tree: Path, debian: Path, *, architecture: str, requirements: Path, epoch_s: int) -> None:
    """Put everything but the Go programs into an empty folder.

    Raises:
        SystemExit: a part is missing, or a shared library of one is.
    """
    for folder in ("bin/cni", "lib", "libexec", "packages", "share"):
        (tree / folder).mkdir(parents=True)
    _copy_libraries(debian, tree, architecture)
    _copy_linked_programs(debian, tree, architecture)
    _copy_python(debian, tree, architecture)
    _install_packages(tree / "packages", architecture, requirements)
    _copy_k3py(tree)
    _prune_libraries(tree, architecture)
    _compile(tree / "packages", tree)
    _compile(tree / "lib" / PYTHON, tree)
    _strip(tree, architecture)
    _check_libraries(tree, architecture)
    _copy_share(tree, debian, architecture, epoch_s)


def _copy_libraries(debian: Path, tree: Path, architecture: str) -> None:
    for folder in (f"lib/{TRIPLET[architecture]}", f"usr/lib/{TRIPLET[architecture]}"):
        for path in sorted((debian / folder).glob("*.so*")):
            if path.is_file():
                shutil.copyfile(path.resolve(), tree / "lib" / path.name)
    loader = tree / "lib" / LOADER[architecture]
    loader.chmod(0o755)


def _prune_libraries(tree: Path, architecture: str) -> None:
    """Drop the libraries that no program and no module needs, by the loader's own search."""
    # Loaded by name when needed: name lookups, threads' cancellation.
    keep = {LOADER[architecture], "libnss_dns.so.2", "libnss_files.so.2", "libgcc_s.so.1", "libc.so.6"}
    modules = [*(tree / "lib" / PYTHON).rglob("*.so"), *(tree / "packages").rglob("*.so*")]
    for path in [*(tree / "libexec").iterdir(), *modules]:
        keep |= {name for name, where in _listed(tree, path, architecture) if where}
    for path in (tree / "lib").glob("*.so*"):
        if path.name not in keep:
            path.unlink()


def _listed(tree: Path, path: Path, architecture: str) -> list[tuple[str, str]]:
    """Return (library, where it is found or "") of an ELF file, all levels."""
    if not _is_own(architecture):
        return _listed_foreign(tree, path)
    command = [
        str(tree / "lib" / LOADER[architecture]),
        "--inhibit-cache",
        "--library-path",
        str(tree / "lib"),
    ]
    done = subprocess.run([*command, "--list", str(path)], check=False, capture_output=True, text=True)
    found = []
    for line in done.stdout.splitlines():
        name, arrow, where = line.strip().partition(" => ")
        if arrow:
            # The loader looks at the machine's own folders, too: what is found there is not in the file.
            found.append((name, where if where.startswith(str(tree)) else ""))
    return found


def _is_own(architecture: str) -> bool:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine()) == architecture


def _listed_foreign(tree: Path, path: Path) -> list[tuple[str, str]]:
    """The same for programs that cannot run here: what their own tables say that they need."""
    found: dict[str, str] = {}
    todo = [path]
    while todo:
        shown = subprocess.run(["readelf", "-d", str(todo.pop())], check=False, capture_output=True, text=True).stdout
        for name in re.findall(r"\(NEEDED\).*\[(.+)\]", shown):
            if name in found:
                continue
            place = next((one for one in (tree / "lib" / name, *(tree / "packages").rglob(name)) if one.exists()), None)
            found[name] = str(place) if place is not None else ""
            if place is not None:
                todo.append(place)
    return list(found.items())


def _found(debian: Path, paths: tuple[str, ...]) -> Path:
    for path in paths:
        if (debian / path).exists():
            return debian / path
    raise SystemExit(f"Debian's packages have none of {', '.join(paths)}")


def _copy_linked_programs(debian: Path, tree: Path, architecture: str) -> None:
    for name, paths in LINKED_PROGRAMS:
        shutil.copyfile(_found(debian, paths).resolve(), tree / "libexec" / name)
        write_script(tree / "bin" / name, _SCRIPT.format(name=name, loader=LOADER[architecture]))
    shutil.copyfile(_found(debian, ("bin/busybox", "usr/bin/busybox")), tree / "libexec/busybox")


def write_script(path: Path, text: str) -> None:
    """Write an executable text file."""
    path.write_text(text)
    path.chmod(0o755)


def _copy_python(debian: Path, tree: Path, architecture: str) -> None:
    shutil.copyfile(debian / "usr/bin" / PYTHON, tree / "libexec" / PYTHON)
    library = tree / "lib" / PYTHON
    shutil.copytree(debian / "usr/lib" / PYTHON, library, symlinks=False, ignore_dangling_symlinks=True)
    for name in UNUSED_MODULES:
        path = library / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in [*library.glob("config-*"), *library.rglob("__pycache__"), *library.rglob("LICENSE.txt")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (library / "lib-dynload").glob("*.so"):
        if any(not where for _, where in _listed(tree, path, architecture)):
            path.unlink()  # curses, readline, tkinter, dbm: nothing here imports them


def _install_packages(folder: Path, architecture: str, requirements: Path) -> None:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[architecture]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-compile",
        "--no-deps",
        "--only-binary=:all:",
    ]
    command += ["--disable-pip-version-check", "--target", str(folder), "-r", str(requirements)]
    command += [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(5, 37)]
    command += [f"--platform=manylinux2014_{machine}", "--python-version=3.11", "--implementation=cp"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"pip cannot install {requirements}: {done.stderr[-2000:]}")
    shutil.rmtree(folder / "bin", ignore_errors=True)
    shutil.rmtree(
        folder / "pycparser", ignore_errors=True
    )  # cffi's reader of C: nothing is declared in C here


def _copy_k3py(tree: Path) -> None:
    shutil.copytree(PROJECT / "k3py", tree / "packages/k3py", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "packages/__main__.py").write_text(_MAIN)


def _compile(folder: Path, tree: Path) -> None:
    """Compile to .pyc files beside the sources, without docstrings and dates, and drop the sources."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.suffix != ".py":
            continue
        try:
            py_compile.compile(
                str(path),
                cfile=str(path.with_suffix(".pyc.new")),
                dfile=str(path.relative_to(tree)),
                doraise=True,
                optimize=2,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError as error:
            raise SystemExit(f"cannot compile {path}: {error}") from error
        path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if path.name in _UNUSED_FOLDERS:
                shutil.rmtree(path)
        elif path.name.endswith(".pyc.new"):
            path.rename(path.with_suffix(""))
        elif path.suffix in _UNUSED_FILES:
            path.unlink()


def _strip(tree: Path, architecture: str) -> None:
    tool = "strip" if _is_own(architecture) else f"{TRIPLET[architecture]}-strip"
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF":
            subprocess.run([tool, "--strip-unneeded", str(path)], capture_output=True, check=False)
            path.chmod(
                0o755 if path.parent.name in ("libexec", "bin") or path.name.startswith("ld-") else 0o644
            )


def _check_libraries(tree: Path, architecture: str) -> None:
    for path in sorted(tree.rglob("*")):
        if path.is_file() and (".so" in path.name or path.parent.name == "libexec"):
            for name, where in _listed(tree, path, architecture):
                if not where:
                    raise SystemExit(
                        f"{path.relative_to(tree)} needs {name}: add its package to DEBIAN_PACKAGES"
                    )


def _copy_share(tree: Path, debian: Path, architecture: str, epoch_s: int) -> None:
    share = tree / "share"
    shutil.copytree(PROJECT / "packaging/examples", share / "examples")
    for folder in ("scripts", "systemd", "openrc"):
        shutil.copytree(PROJECT / "packaging" / folder, share / folder)
    images = share / "images"
    images.mkdir()
    command = [sys.executable, "-B", str(PROJECT / "packaging/build_image.py")]
    subprocess.run(
        [
            *command,
            f"--busybox={tree / 'libexec/busybox'}",
            f"--architecture={architecture}",
            *([] if _is_own(architecture) else ["--applets=/bin/busybox"]),
            str(images / "hello.tar"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch_s)},
    )
    licenses = share / "licenses"
    licenses.mkdir()
    for name in DEBIAN_PACKAGES:
        source = debian / "usr/share/doc" / name / "copyright"
        if source.exists():
            shutil.copyfile(source.resolve(), licenses / f"debian-{name}")
    for info in sorted((tree / "packages").glob("*.dist-info")):
        name = info.name.removesuffix(".dist-info")
        for path in sorted(info.rglob("*")):
            if path.is_file() and path.name.upper().startswith(("LICENSE", "COPYING", "NOTICE", "AUTHORS")):
                shutil.copyfile(path, licenses / f"python-{name}-{path.name}")
        for path in sorted(info.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            elif path.name != "METADATA":
                path.unlink()


def check_programs(tree: Path, architecture: str) -> None:
    """Refuse a program or library of another architecture.

    Raises:
        SystemExit: there is one; names it.
    """
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                head = file.read(20)
            if head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") != _ELF_MACHINE[architecture]:
                raise SystemExit(f"{path.relative_to(tree)} is not for {architecture}")


def normalise_modes(tree: Path) -> None:
    """Give folders 0755 and files 0755 or 0644, whatever the umask of the building machine was."""
    for path in tree.rglob("*"):
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)


def new_tree() -> Path:
    """Return an empty folder to assemble in."""
    return Path(tempfile.mkdtemp(prefix="k3py-tree-"))
