"""`cp [NAMESPACE/]POD:PATH LOCAL` and back: tar in the container, through exec. Source: kubectl v0.35 pkg/cmd/cp.

What comes out of a container is not trusted: nothing is written outside of the target, links that lead out are left out.
"""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from k3py.cli.kubectl.containers import exec_command
from k3py.errors import K3pyError
from k3py.util.offload import offload

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session

_IN_MEMORY_BYTES: Final = 16 << 20


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "cp", parents=[common], help="copy files to and from a container", allow_abbrev=False
    )
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("-c", "--container", default="")
    parser.add_argument("--no-preserve", action="store_true")
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Copy a file or a folder."""
    source, target = _split(options.source), _split(options.target)
    if source is not None and target is not None:
        raise K3pyError("one of src or dest must be a local file specification")
    if source is not None:
        return await _fetch(session, options, *source)
    if target is not None:
        return await _send(session, options, *target)
    raise K3pyError("one of src or dest must be a remote file specification")


def _split(text: str) -> tuple[str, str, str] | None:
    """Return namespace ("" = the default), pod and path of a remote file, None for a local one."""
    place, colon, path = text.partition(":")
    if (
        not colon
        or place.startswith((".", "/"))
        or (len(place) == 1 and place.isalpha() and path.startswith("\\"))
    ):
        return None
    namespace, slash, pod = place.partition("/")
    if not path or not (pod if slash else namespace):
        raise K3pyError("filespec must match the canonical format: [[namespace/]pod:]file/path")
    return (namespace, pod, path) if slash else ("", namespace, path)


async def _fetch(session: Session, options: argparse.Namespace, namespace: str, pod: str, path: str) -> int:
    if namespace:
        session = replace(session, namespace=namespace)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as archive:
        code = await exec_command(
            session, pod, options.container, ["tar", "cf", "-", path], output=archive.write
        )
        if code:
            return code
        archive.seek(0)
        await offload(unpack, archive, PurePosixPath(path), Path(options.target))
    return 0


def unpack(archive: Any, source: PurePosixPath, target: Path) -> None:
    """Unpack what tar made of `source` so that it becomes `target`, or lies in it when that is a folder.

    Raises:
        K3pyError: the container has no such file.
    """
    prefix = str(source).lstrip("/")
    base = target / source.name if target.is_dir() else target
    count = 0
    with tarfile.open(fileobj=archive, mode="r|*") as tar:
        for member in tar:
            name = member.name.lstrip("/")
            inner = (
                PurePosixPath(name).relative_to(prefix)
                if PurePosixPath(name).is_relative_to(prefix)
                else PurePosixPath(name)
            )
            place = base / inner
            count += 1
            if ".." in inner.parts or not _is_inside(place, base):
                print(f"warning: skipping {member.name!r}: it would lie outside of {base}", file=sys.stderr)
            elif member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                _write_file(tar, member, place)
            elif member.issym() or member.islnk():
                print(
                    f'warning: skipping symlink: "{member.name}" -> "{member.linkname}" (consider using "kubectl exec -n "<some-namespace>" "<some-pod>" -- tar cf - "{source}" | tar xf -")',
                    file=sys.stderr,
                )
    if not count:
        raise K3pyError(f"{source} no such file or directory")


def _is_inside(place: Path, base: Path) -> bool:
    """Whether a place is the base or below it, links on the way followed."""
    top = base.resolve()
    return (
        place == base
        or place.parent.resolve().is_relative_to(top)
        or (place.parent == base.parent and place == base)
    )


def _write_file(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    content = tar.extractfile(member)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    with place.open("wb") as file:
        if content is not None:
            shutil.copyfileobj(content, file)
    place.chmod(member.mode & 0o777)


async def _send(session: Session, options: argparse.Namespace, namespace: str, pod: str, path: str) -> int:
    source = _existing(options.source)
    if namespace:
        session = replace(session, namespace=namespace)
    target = PurePosixPath(path)
    # As cp does: into a folder that is there, else under the new name.
    is_folder = (
        await exec_command(session, pod, options.container, ["test", "-d", path], output=_ignore, quiet=True)
        == 0
    )
    if is_folder:
        target = target / source.name
    data = await offload(_pack, source, target.name)
    flags = ["--no-same-permissions", "--no-same-owner"] if options.no_preserve else []
    return await exec_command(
        session,
        pod,
        options.container,
        ["tar", *flags, "-xmf", "-", "-C", str(target.parent)],
        output=_ignore,
        data=data,
    )


def _existing(name: str) -> Path:
    if not Path(name).exists():
        raise K3pyError(f"{name} doesn't exist in local filesystem")
    return Path(name).resolve()


def _ignore(data: bytes) -> int:
    return len(data)


def _pack(source: Path, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(source, arcname=name)
    return buffer.getvalue()
