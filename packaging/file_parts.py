#!/usr/bin/env python3
"""Say how large the parts of the single file are: packaging/file_parts.py [dist/k3py] [--preset 6].

Unpacked, and packed each for itself (together they pack a little better, since like things lie beside each other).
"""

from __future__ import annotations

import argparse
import io
import lzma
import re
import tarfile
from pathlib import Path

PARTS: tuple[tuple[str, str], ...] = (
    ("containerd and ctr", r"bin/containerd$|bin/ctr$"),
    ("containerd's shim", r"bin/containerd-shim"),
    ("runc", r"bin/runc"),
    ("CNI plugins", r"bin/cni/"),
    ("kubectl", r"bin/kubectl"),
    ("etcd", r"bin/etcd"),
    ("nft, ip, bridge, conntrack", r"(bin|libexec)/(nft|ip|bridge|conntrack)$"),
    ("Python", r"libexec/python|lib/python3"),
    ("C library and other libraries", r"lib/"),
    ("k3py", r"packages/k3py/|packages/__main__"),
    ("Python packages", r"packages/"),
    ("busybox", r"libexec/busybox"),
    ("image for the first pod, scripts, licenses", r"share/"),
)
"""Name, and what the paths of a part begin with; the first that fits counts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path(__file__).parents[1] / "dist/k3py")
    parser.add_argument("--preset", type=int, default=6, help="xz preset (default 6; the file itself is packed with 9 extreme)")
    options = parser.parse_args()
    data = options.file.read_bytes()
    header, tool = (int(re.search(rf"(?m)^{name}=(\d+)".encode(), data[:8192])[1]) for name in ("header_bytes", "tool_bytes"))
    found: dict[str, list[bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(data[header + tool :]))) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                part = next((name for name, pattern in PARTS if re.match(pattern, member.name)), "other")
                found.setdefault(part, []).append(content.read())
    print("| part | files | unpacked, MB | packed for itself, MB |\n| --- | ---: | ---: | ---: |")
    for name, contents in sorted(found.items(), key=lambda one: -sum(map(len, one[1]))):
        packed = len(lzma.compress(b"".join(contents), preset=options.preset))
        print(f"| {name} | {len(contents)} | {sum(map(len, contents)) / 1e6:.1f} | {packed / 1e6:.1f} |")
    print(f"| header and the busybox that unpacks | | {(header + tool) / 1e6:.1f} | {(header + tool) / 1e6:.1f} |")
    print(f"| **the file** | | | **{len(data) / 1e6:.1f}** |")


if __name__ == "__main__":
    main()
