"""The images of Kubernetes' end-to-end suite, made again from its own programs and Debian's: no registry has to be reachable.

    python -m tests.support.kubernetes_e2e.images PROGRAMS OUT.tar

PROGRAMS is what `build` prints. Debian's bind9-dnsutils, curl, netcat-openbsd and nginx-light have to be installed.
"""

from __future__ import annotations

import platform
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.runtime.image_archive import ImageFile, ImageRecipe, build_archive
from k3py.runtime.pause import ARCHITECTURES, pause_program
from tests.support.lab.node import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable

REGISTRY: Final = "registry.k8s.io/e2e-test-images"
BUSYBOX: Final = Path("/bin/busybox")
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_PASSWD: Final = b"""root:x:0:0:root:/root:/bin/sh
user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh
www-data:x:33:33::/var/www:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
"""
_GROUP: Final = b"""root:x:0:
www-data:x:33:
user-defined-in-image:x:1000:
group-defined-in-image:x:50000:user-defined-in-image
nogroup:x:65534:
"""
_NGINX: Final = b"""daemon off;
error_log stderr;
pid /tmp/nginx.pid;
events { worker_connections 64; }
http { access_log off; server { listen 80; root /usr/share/nginx/html; } }
"""


def with_libraries(*programs: str) -> tuple[ImageFile, ...]:
    """Return programs of this machine with the libraries that they load.

    Raises:
        SystemExit: one is not installed.
    """
    files: dict[str, ImageFile] = {}
    for name in programs:
        found = shutil.which(name, path="/usr/sbin:/usr/bin")
        if found is None:
            raise SystemExit(f"{name} is missing (Debian: apt-get install bind9-dnsutils curl netcat-openbsd nginx-light)")
        listed = subprocess.run(["ldd", found], check=True, capture_output=True, text=True).stdout
        paths = [found, *(word for line in listed.splitlines() for word in line.split() if word.startswith("/"))]
        for path in paths:
            files[path] = ImageFile(path.lstrip("/"), Path(path).read_bytes(), 0o755)
    return tuple(files.values())


def make_recipes(programs: Path, etcd: Path | None) -> list[ImageRecipe]:
    """Return all images that the conformance tests use (Source: `e2e.test --list-images`, test/images of v1.35.4)."""
    architecture = ARCHITECTURES[platform.machine()]

    def image(*names: str, files: Iterable[ImageFile], entrypoint: tuple[str, ...] = (), command: tuple[str, ...] = ()) -> ImageRecipe:
        unique = {file.path: file for file in files}
        return ImageRecipe(
            names=names,
            architecture=architecture,
            files=tuple(unique.values()),
            entrypoint=entrypoint,
            command=command,
            environment=_ENVIRONMENT,
        )

    busybox_files = runpy.run_path(str(PROJECT / "packaging/build_image.py"))["busybox_files"]
    base: tuple[ImageFile, ...] = (*busybox_files(BUSYBOX), ImageFile("etc/passwd", _PASSWD), ImageFile("etc/group", _GROUP))
    agnhost = (
        *base,
        *with_libraries("bash", "curl", "dig", "getent", "ip"),
        # Debian's ash would take its own nc, which knows none of the tests' flags, instead of what lies on the PATH.
        ImageFile("bin/sh", link="../usr/bin/bash", mode=0o777),
        *_netcat(),
        ImageFile("agnhost", (programs / "agnhost").read_bytes(), 0o755),
        ImageFile("agnhost-2", link="agnhost", mode=0o777),
        ImageFile("uploads", None, 0o777),
        ImageFile("localhost.crt", (programs / "localhost.crt").read_bytes()),
        ImageFile("localhost.key", (programs / "localhost.key").read_bytes()),
        ImageFile("etc/nsswitch.conf", b"hosts: files dns\n"),
    )
    tags = tuple(f"{REGISTRY}/agnhost:{tag}" for tag in ("2.55", "2.59", "2.6"))
    recipes = [
        image(*tags, files=agnhost, entrypoint=("/agnhost",), command=("pause",)),
        image(
            f"{REGISTRY}/nautilus:1.7",
            files=(
                *agnhost,
                ImageFile("nautilus.jpg", b"a nautilus\n"),
                ImageFile("data.json", (programs / "data.json").read_bytes()),
            ),
            entrypoint=("/agnhost",),
            command=("test-webserver",),
        ),
        image(
            f"{REGISTRY}/busybox:1.36.1-1",
            f"{REGISTRY}/busybox:1.37.0-1",
            files=base,
            command=("sh",),
        ),
        image(
            f"{REGISTRY}/nginx:1.14-4",
            files=_nginx_files(base),
            command=("nginx",),
        ),
        image(f"{REGISTRY}/nginx:1.15-4", files=_nginx_files(base), command=("nginx", "-q")),
        image(
            f"{REGISTRY}/nonewprivs:1.3",
            files=(*base, ImageFile("usr/local/bin/nnp", (programs / "nonewprivs").read_bytes(), 0o6755)),
            command=("nnp",),
        ),
        image(
            f"{REGISTRY}/jessie-dnsutils:1.7",
            files=(*base, *with_libraries("dig", "getent", "bash"), ImageFile("etc/nsswitch.conf", b"hosts: files dns\n")),
            command=("sh",),
        ),
        image(
            "registry.k8s.io/pause:3.10.1",
            files=(ImageFile("pause", pause_program(platform.machine()), 0o755),),
            entrypoint=("/pause",),
        ),
        image(
            f"{REGISTRY}/sample-apiserver:1.29.2",
            files=(*base, ImageFile("sample-apiserver", (programs / "sample-apiserver").read_bytes(), 0o755)),
            entrypoint=("/sample-apiserver",),
        ),
    ]
    if etcd is not None:
        files = (*base, ImageFile("usr/local/bin/etcd", etcd.read_bytes(), 0o755))
        recipes.append(image("registry.k8s.io/etcd:3.6.6-0", files=files, command=("etcd",)))
    return recipes


def _netcat() -> tuple[ImageFile, ...]:
    """Return OpenBSD's netcat under the name that the tests call."""
    return (*with_libraries("nc.openbsd"), ImageFile("usr/bin/nc", link="nc.openbsd", mode=0o777))


def _nginx_files(base: tuple[ImageFile, ...]) -> tuple[ImageFile, ...]:
    return (
        *base,
        *with_libraries("nginx"),
        ImageFile("etc/nginx/nginx.conf", _NGINX),
        ImageFile("usr/share/nginx/html/index.html", b"Welcome to nginx!\n"),
        ImageFile("var/log/nginx", None, 0o777),
        ImageFile("var/lib/nginx", None, 0o777),
    )


def main() -> int:
    """Write the archive."""
    programs, out = Path(sys.argv[1]), Path(sys.argv[2])
    etcd = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    out.write_bytes(build_archive(make_recipes(programs, etcd)))
    print(f"{out}: {out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
