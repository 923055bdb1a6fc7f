#!/usr/bin/env python3
"""Make packages of the single file: packaging/build_packages.py [--file dist/k3py] [--deb] [--image]; both when none is named.

dist/k3py_VERSION_ARCHITECTURE.deb   with units for server and agent (neither enabled nor started), completion, manual page
dist/k3py-image-ARCHITECTURE.tar     container image k3py.io/k3py:VERSION, for `docker load` or `ctr images import`

Beside each lie its checksum and its list of parts. The same file makes the same bytes. Needs dpkg-deb for the .deb.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from build_image import busybox_files
from man_page import man_page

from k3py.cli.completion import scripts
from k3py.cli.completion.words import describe
from k3py.cli.main import COMMANDS
from k3py.runtime.image_archive import ImageFile, ImageRecipe, build_archive

PROJECT = Path(__file__).parents[1]
_CONTROL = """\
Package: k3py
Version: {version}
Architecture: {architecture}
Maintainer: The k3py project <k3py@localhost>
Section: admin
Priority: optional
Installed-Size: {size_kib}
Description: Kubernetes in one process, for machines where nobody is near
 Server, node, containerd, runc, CNI plugins and nft in one file. Neither
 started nor enabled: `systemctl enable --now k3py` makes this machine a
 server; for a node of another one put K3PY_URL and K3PY_TOKEN into
 /etc/k3py/k3py-agent.env, then `systemctl enable --now k3py-agent`.
"""
# Pods outlive an upgrade: only what runs is started again.
_POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    mkdir -p /etc/k3py
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl try-restart k3py.service k3py-agent.service
    fi
fi
"""
_PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ]; then
    /usr/bin/k3py-killall.sh
fi
"""
_POSTRM = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
if [ "$1" = purge ]; then
    rm -rf --one-file-system /etc/k3py /run/k3py /var/lib/kubelet /var/log/pods /var/log/containers
    for part in server agent data storage bin k3py.lock; do
        rm -rf --one-file-system "/var/lib/k3py/$part"
    done
    rmdir /var/lib/k3py /var/lib/cni/networks /var/lib/cni/results /var/lib/cni 2>/dev/null || true
fi
"""
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"
_GROUP = b"root:x:0:\n"


@dataclass(frozen=True)
class SingleFile:
    """The file, and what its header says."""

    path: Path
    version: str
    architecture: str
    busybox: bytes

    @classmethod
    def read(cls, path: Path) -> SingleFile:
        """Read it. Raises SystemExit: it is no single file of k3py."""
        data = path.read_bytes()
        found = re.search(rb"^# k3py (\S+) for linux/(\w+):", data[:8192], re.MULTILINE)
        sizes = dict(re.findall(rb"^(header_bytes|tool_bytes)=(\d+)$", data[:8192], re.MULTILINE))
        if found is None or len(sizes) != 2:
            raise SystemExit(f"{path}: is no single file of k3py: make it with packaging/build")
        begin = int(sizes[b"header_bytes"])
        return cls(path, found[1].decode(), found[2].decode(), data[begin : begin + int(sizes[b"tool_bytes"])])


def build_deb(file: SingleFile, out: Path, *, epoch_s: int) -> None:
    """Write the Debian package."""
    with tempfile.TemporaryDirectory(prefix="k3py-deb-") as name:
        root = Path(name) / "root"
        _place(root / "usr/bin/k3py", file.path.read_bytes(), 0o755)
        for service in ("k3py", "k3py-agent"):
            _place(root / f"lib/systemd/system/{service}.service", _unit(service).encode())
        killall = _fill((PROJECT / "packaging/scripts/k3py-killall.sh").read_text(), "k3py")
        _place(root / "usr/bin/k3py-killall.sh", killall.encode(), 0o755)
        words = describe(COMMANDS)
        _place(root / "usr/share/bash-completion/completions/k3py", scripts.bash(words).encode())
        _place(root / "usr/share/zsh/vendor-completions/_k3py", scripts.zsh(words).encode())
        _place(root / "usr/share/fish/vendor_completions.d/k3py.fish", scripts.fish(words).encode())
        _place(root / "usr/share/man/man8/k3py.8.gz", gzip.compress(man_page().encode(), mtime=0))
        _place(root / "usr/share/doc/k3py/copyright", (PROJECT / "LICENSE").read_bytes())
        _place(root / "usr/share/doc/k3py/examples/hello.yaml", (PROJECT / "packaging/examples/hello.yaml").read_bytes())
        size_kib = sum(path.lstat().st_size for path in root.rglob("*")) // 1024
        control = _CONTROL.format(version=file.version, architecture=file.architecture, size_kib=size_kib)
        _place(root / "DEBIAN/control", control.encode())
        for script, text in (("postinst", _POSTINST), ("prerm", _PRERM), ("postrm", _POSTRM)):
            _place(root / "DEBIAN" / script, text.encode(), 0o755)
        for path in (root, *root.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
            os.utime(path, (epoch_s, epoch_s))
        # What is packed is packed already.
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch_s)})


def _place(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _unit(service: str) -> str:
    text = (PROJECT / "packaging/systemd/k3py.service").read_text()
    text = text.replace("@SYSTEMD_DIR@/@SERVICE@.service.env", "/etc/k3py/@SERVICE@.env")
    return _fill(text, service).replace("@COMMAND@", "/usr/bin/k3py").replace("@ARGUMENTS@", "agent" if service == "k3py-agent" else "server")


def _fill(text: str, service: str) -> str:
    values = {
        "BIN_DIR": "/usr/bin",
        "DATA_DIR": "/var/lib/k3py",
        "SYSTEMD_DIR": "/lib/systemd/system",
        "LIB_DIR": "/usr/lib/k3py",
        "SERVICE": service,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def build_image(file: SingleFile, out: Path, *, applets: Path) -> None:
    """Write the container image: the file, and busybox for the shell that its header needs. `applets`: a busybox that runs here."""
    with tempfile.TemporaryDirectory(prefix="k3py-image-") as name:
        # The links are those of a busybox that this machine can run; the program is the file's own.
        shell = [one for one in busybox_files(applets) if one.path != "bin/busybox"]
        entries = [one for one in shell if not one.path.startswith("etc/")]
        recipe = ImageRecipe(
            names=(f"k3py.io/k3py:{file.version}",),
            architecture=file.architecture,
            files=(
                ImageFile("usr/bin/k3py", file.path.read_bytes(), 0o755),
                ImageFile("bin/busybox", file.busybox, 0o755),
                ImageFile("etc/passwd", _PASSWD),
                ImageFile("etc/group", _GROUP),
                *entries,
            ),
            entrypoint=("/usr/bin/k3py",),
            command=("server",),
            environment={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
            exposed_ports=("6443/tcp", "10250/tcp"),
        )
        work = Path(name) / "image.tar"
        work.write_bytes(build_archive([recipe]))
        shutil.move(work, out)


def _finish(out: Path, file: SingleFile) -> None:
    """Write the checksum and the list of parts beside a package."""
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    out.with_name(out.name + ".sha256").write_text(f"{digest}  {out.name}\n")
    parts = file.path.with_name(file.path.name + ".spdx.json")
    if parts.exists():
        shutil.copyfile(parts, out.with_name(out.name + ".spdx.json"))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(prog="packaging/build_packages.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=PROJECT / "dist/k3py", help="the single file (default dist/k3py)")
    parser.add_argument("--out", type=Path, help="folder for the packages (default: the file's)")
    parser.add_argument("--deb", action="store_true")
    parser.add_argument("--image", action="store_true")
    parser.add_argument("--busybox", type=Path, default=Path("/bin/busybox"), help="a busybox that runs here, for the names of its applets")
    options = parser.parse_args()
    if not options.file.is_file():
        raise SystemExit(f"--file: {options.file}: is not there: make it with packaging/build")
    file = SingleFile.read(options.file)
    folder = options.out or options.file.parent
    folder.mkdir(parents=True, exist_ok=True)
    epoch_s = int(os.environ.get("SOURCE_DATE_EPOCH") or options.file.stat().st_mtime)
    both = not options.deb and not options.image
    if options.deb or both:
        if shutil.which("dpkg-deb") is None:
            raise SystemExit("dpkg-deb is missing: apt-get install dpkg")
        out = folder / f"k3py_{file.version}_{file.architecture}.deb"
        build_deb(file, out, epoch_s=epoch_s)
        _finish(out, file)
    if options.image or both:
        out = folder / f"k3py-image-{file.architecture}.tar"
        build_image(file, out, applets=options.busybox)
        _finish(out, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
