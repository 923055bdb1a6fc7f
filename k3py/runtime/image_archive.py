"""Container images made from files: the `docker save` archive that containerd imports (pure, and the same bytes each time)."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One entry of an image: a file, or a link when `link` is its target, or a folder when `data` is None.

    Attributes:
        path: Without leading slash.
        data: Content.
        mode: Permission bits.
        link: Target of a symbolic link; "" = none.
        hard_link: The link is a hard link to another path of the image.
    """

    path: str
    data: bytes | None = b""
    mode: int = 0o644
    link: str = ""
    hard_link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """What an image is made of.

    Attributes:
        names: References with tags.
        architecture: "amd64", "arm64", ….
        files: Entries of the single layer; folders above them are made.
    """

    names: tuple[str, ...]
    architecture: str
    files: tuple[ImageFile, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: str = ""
    exposed_ports: tuple[str, ...] = ()


def build_archive(images: Sequence[ImageRecipe]) -> bytes:
    """Return an archive of all `images`, for `ctr images import` or `docker load`."""
    manifest = []
    members: dict[str, bytes] = {}
    for image in images:
        layer = _layer(image.files)
        digest = hashlib.sha256(layer).hexdigest()
        config = _config(image, digest)
        config_name = hashlib.sha256(config).hexdigest() + ".json"
        members[f"{digest}/layer.tar"] = layer
        members[config_name] = config
        manifest.append(
            {"Config": config_name, "RepoTags": list(image.names), "Layers": [f"{digest}/layer.tar"]}
        )
    members["manifest.json"] = orjson.dumps(manifest)
    return _tar([ImageFile(name, data) for name, data in sorted(members.items())])


def _config(image: ImageRecipe, layer_digest: str) -> bytes:
    container = {
        "Env": [f"{key}={value}" for key, value in image.environment.items()],
        "Entrypoint": list(image.entrypoint),
        "Cmd": list(image.command),
        "WorkingDir": image.working_dir,
        "User": image.user,
        "ExposedPorts": {port: {} for port in image.exposed_ports},
    }
    document = {
        "architecture": image.architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {key: value for key, value in container.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "k3py"}],
    }
    return orjson.dumps(document)


def _layer(files: Sequence[ImageFile]) -> bytes:
    entries: dict[str, ImageFile] = {}
    for file in files:
        parts = file.path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            entries.setdefault(folder, ImageFile(folder, None, 0o755))
        entries[file.path] = file
    return _tar(list(entries.values()))


def _tar(files: Sequence[ImageFile]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in files:
            info = tarfile.TarInfo(file.path)
            info.mode = file.mode
            if file.link:
                info.type = tarfile.LNKTYPE if file.hard_link else tarfile.SYMTYPE
                info.linkname = file.link
                archive.addfile(info)
            elif file.data is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(file.data)
                archive.addfile(info, io.BytesIO(file.data))
    return out.getvalue()
