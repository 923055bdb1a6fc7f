"""Writes the file: header (a script), a static busybox, the tree as tar and xz; the same bytes for the same tree."""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEADER_BYTES = 8192
BEST = 9 | lzma.PRESET_EXTREME
# A reader needs memory for the dictionary: more would save little and cost small machines much.
_DICTIONARY_BYTES = 32 << 20


def pack_tree(tree: Path, *, epoch_s: int, preset: int = BEST) -> bytes:
    """Return the tree as a compressed archive: sorted, root's, one date, `.complete` last."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(
            tree.rglob("*"), key=lambda one: (str(one.relative_to(tree)) == ".complete", _order(tree, one))
        ):
            info = archive.gettarinfo(str(path), arcname=str(path.relative_to(tree)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = epoch_s
            if info.isreg():
                with path.open("rb") as file:
                    archive.addfile(info, file)
            else:
                archive.addfile(info)
    # No branch filter, which would save 4 %: busybox cannot undo it.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": _DICTIONARY_BYTES}]
    return lzma.compress(buffer.getvalue(), format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def _order(tree: Path, path: Path) -> tuple[int, str]:
    """Like things beside each other compress better: programs, then libraries and modules in C, then the rest by kind of file."""
    name = str(path.relative_to(tree))
    if path.is_dir():
        return 0, name
    if name.startswith("bin/"):
        return 1, name
    if ".so" in path.name or name.startswith("libexec/"):
        return 2, name
    if name.startswith("share/images/"):
        return 2, f"libexec/busybox/{name}"  # it holds busybox
    return 3, f"{path.suffix}/{name}"


def write_file(out: Path, header: str, tool: bytes, payload: bytes, values: dict[str, str]) -> None:
    """Fill the header in and write the file, executable.

    Raises:
        SystemExit: the header became too long.
    """
    values |= {
        "HASH": hashlib.sha256(payload).hexdigest()[:32],
        "HEADER_BYTES": str(HEADER_BYTES),
        "TOOL_BYTES": str(len(tool)),
        "PAYLOAD_SHA256": hashlib.sha256(payload).hexdigest(),
    }
    for name, value in values.items():
        header = header.replace(f"@{name}@", value)
    data = header.encode()
    if len(data) > HEADER_BYTES - 1:
        raise SystemExit(f"header.sh: {len(data)} bytes, must be less than {HEADER_BYTES}")
    data += b"\n" * (HEADER_BYTES - len(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(out.name + ".new")
    new.write_bytes(data + tool + payload)
    new.chmod(0o755)
    new.rename(out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    out.with_name(out.name + ".sha256").write_text(f"{digest}  {out.name}\n")
