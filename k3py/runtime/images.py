"""Images that come with k3py or lie beside it: the pause image and the archives in <data-dir>/agent/images.

Imported when containerd starts, before anything runs: an air-gapped machine needs no registry. An archive whose size and time are the
same as at its last import is skipped. All imported images are pinned, so that nobody's garbage collection removes them.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from k3py.runtime.cri.images import is_seen, wait_seen
from k3py.runtime.errors import RuntimeFailure
from k3py.runtime.image_archive import build_archive
from k3py.runtime.machine import choose_snapshotter
from k3py.runtime.pause import ARCHITECTURES, pause_image
from k3py.runtime.program import get_program

if TYPE_CHECKING:
    from k3py.runtime.containerd_config import ContainerdConfig
    from k3py.runtime.cri.channel import CriChannel

_log = logging.getLogger(__name__)

_IMAGES: Final = "/containerd.services.images.v1.Images/"
_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz")
_BZIP2: Final = (".tar.bz2", ".tbz")
_NOT_READ: Final = (".tar.lz4",)
_PINNED: Final = "io.cri-containerd.pinned"
_CALL_S: Final = 30.0
_OWN_PREFIX: Final = "k3py.io/pause:"


async def import_images(config: ContainerdConfig, channel: CriChannel) -> bool:
    """Import the pause image and new or changed archives; tell whether an archive was imported.

    A broken archive is logged, and does not stop the node.
    """
    if config.pause_image.startswith(_OWN_PREFIX):
        await _import_pause(config, channel)
    memory_file = config.root / "k3py-imported.json"
    memory = await asyncio.to_thread(_read_memory, memory_file)
    found = await asyncio.to_thread(_find_archives, config.images_dir)
    if found == memory:
        return False
    came = False
    done = {name: mark for name, mark in memory.items() if found.get(name) == mark}
    for name, mark in found.items():
        if name in done:
            continue
        try:
            names = await _import_file(config, channel, config.images_dir / name)
        except RuntimeFailure as error:
            _log.error("image archive %s cannot be imported: %s", config.images_dir / name, error)
            continue
        _log.info("imported %s from %s", ", ".join(names) or "nothing new", name)
        done[name] = mark
        came = True
    await asyncio.to_thread(memory_file.write_bytes, orjson.dumps(done))
    return came


async def _import_file(config: ContainerdConfig, channel: CriChannel, archive: Path) -> list[str]:
    if not archive.name.endswith(_BZIP2):
        return await import_archive(config, channel, archive)
    with tempfile.TemporaryDirectory(dir=config.root) as folder:  # not in `state`: that is memory
        unpacked = Path(folder) / "images.tar"
        try:
            await asyncio.to_thread(_unpack_bzip2, archive, unpacked)
        except (OSError, EOFError) as error:
            raise RuntimeFailure(f"cannot be unpacked: {error}") from error
        return await import_archive(config, channel, unpacked)


def _unpack_bzip2(archive: Path, unpacked: Path) -> None:
    import bz2  # noqa: PLC0415 - such archives are rare

    with bz2.open(archive) as source, unpacked.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


async def import_archive(config: ContainerdConfig, channel: CriChannel, archive: Path) -> list[str]:
    """Import one archive (docker save or OCI layout; plain, gzip or zstd), pin what is in it, return the names.

    Raises:
        RuntimeFailure: ctr refuses it; the message is its own.
    """
    before = await _list_images(channel)
    process = await asyncio.create_subprocess_exec(
        str(get_program("ctr", config.bin_dir)),
        "--address",
        str(config.socket),
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "--snapshotter",
        config.snapshotter or choose_snapshotter(config.root),
        str(archive),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeFailure(output.decode(errors="replace").strip()[-500:] or f"code {process.returncode}")
    after = await _list_images(channel)
    names = [name for name, mark in after.items() if before.get(name) != mark]
    for name in names:
        await pin_image(channel, name)
        await wait_seen(channel, name)
    return names


async def pin_image(channel: CriChannel, name: str) -> None:
    """Keep an image from garbage collection. Raises RuntimeFailure."""
    found = await channel.call(_IMAGES + "Get", {"name": name}, timeout_s=_CALL_S)
    # Whole, though the mask names one field: containerd 2.4 crashes on an image without its target.
    image = found["image"] | {"labels": {_PINNED: "pinned"}}
    update = {"image": image, "update_mask": {"paths": [f"labels.{_PINNED}"]}}
    await channel.call(_IMAGES + "Update", update, timeout_s=_CALL_S)


async def _import_pause(config: ContainerdConfig, channel: CriChannel) -> None:
    if await is_seen(channel, config.pause_image):
        return
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise RuntimeFailure(f"no pause program for {machine}: set --pause-image")
    data = build_archive([pause_image(config.pause_image, machine)])
    with tempfile.TemporaryDirectory(dir=config.state) as folder:
        archive = Path(folder) / "pause.tar"
        await asyncio.to_thread(archive.write_bytes, data)
        await import_archive(config, channel, archive)


async def _list_images(channel: CriChannel) -> dict[str, tuple[int, int]]:
    answer = await channel.call(_IMAGES + "List", {}, timeout_s=_CALL_S)
    return {
        image["name"]: (image["updated_at"]["seconds"], image["updated_at"]["nanos"])
        for image in answer["images"]
        if not image["name"].startswith("sha256:")
    }


def _find_archives(folder: Path) -> dict[str, list[int]]:
    """Return size and time (ns) of each archive."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(_NOT_READ):
            _log.warning(
                "image archive %s is left out: its compression is not known; use gzip, zstd or bzip2", path
            )
        if path.name.endswith(_SUFFIXES) and path.is_file():
            status = path.stat()
            found[path.name] = [status.st_size, status.st_mtime_ns]
    return found


def _read_memory(path: Path) -> dict[str, list[int]]:
    try:
        memory: dict[str, list[int]] = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return memory
