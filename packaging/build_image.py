"""Make an image archive of a static busybox: what tests and air-gapped first steps run.

    python packaging/build_image.py [--busybox /bin/busybox] OUT.tar

The images are docker.io/library/busybox:local (a shell and all applets) and k3py.io/hello:1 (an HTTP server on port 8080).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from k3py.runtime.image_archive import ImageFile, ImageRecipe, build_archive
from k3py.runtime.pause import ARCHITECTURES

_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_HELLO = b"Hello from k3py.\n"
# A first process is not ended by a signal that it does not handle: a shell handles it for the HTTP server.
_SERVE = """trap 'kill $!; exit 0' TERM INT
echo "Hello from $HOSTNAME, listening on port 8080"
httpd -f -v -p 8080 -h /www &
wait"""


def busybox_files(busybox: Path, applets: Path | None = None) -> tuple[ImageFile, ...]:
    """Return busybox with a link for each applet of `applets` (it, or one that runs here), and the files that programs expect."""
    listed = subprocess.run([applets or busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    links = (ImageFile(f"bin/{name}", link="busybox", mode=0o777) for name in listed if name != "busybox")
    return (
        ImageFile("bin/busybox", busybox.read_bytes(), 0o755),
        *links,
        ImageFile("etc/passwd", _PASSWD),
        ImageFile("etc/group", _GROUP),
        ImageFile("tmp", None, 0o1777),
        ImageFile("root", None, 0o700),
        ImageFile("var/run", None, 0o755),
        ImageFile("home", None, 0o755),
        ImageFile("usr/bin/env", link="../../bin/busybox", mode=0o777),
    )


def busybox_archive(busybox: Path, architecture: str, applets: Path | None) -> bytes:
    """Return the archive with both images; both have the same layer, which is there once."""
    files = (*busybox_files(busybox, applets), ImageFile("www/index.html", _HELLO))
    environment = {"PATH": "/bin:/usr/bin"}
    shell = ImageRecipe(
        names=("docker.io/library/busybox:local",),
        architecture=architecture,
        files=files,
        command=("sh",),
        environment=environment,
    )
    hello = ImageRecipe(
        names=("k3py.io/hello:1",),
        architecture=architecture,
        files=files,
        entrypoint=("/bin/sh", "-c", _SERVE),
        environment=environment,
        exposed_ports=("8080/tcp",),
    )
    return build_archive([shell, hello])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--busybox", type=Path, default=Path("/bin/busybox"), help="a static busybox")
    parser.add_argument("--architecture", default=ARCHITECTURES[platform.machine()], help="of that busybox")
    parser.add_argument("--applets", type=Path, help="a busybox that runs here, where that one does not")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if not os.access(arguments.busybox, os.X_OK):
        parser.exit(2, f"{arguments.busybox} is missing (Debian: apt-get install busybox-static)\n")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_name(arguments.out.name + ".part")
    temporary.write_bytes(busybox_archive(arguments.busybox, arguments.architecture, arguments.applets))
    temporary.replace(arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
