"""Another version of the single file: the same programs, and one file more in its tree, so that its hash is another."""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_variant(source: Path, target: Path, mark: str) -> str:
    """Write the other version and its checksum beside it; return the hash of its tree."""
    data = source.read_bytes()
    header_bytes, tool_bytes = (int(_value(data, name)) for name in ("header_bytes", "tool_bytes"))
    # In front, as a stream of its own: what was packed stays as it is, and the mark that the tree is whole stays the last one.
    first = lzma.compress(
        _member("share/variant", mark.encode()), format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32
    )
    payload = first + data[header_bytes + tool_bytes :]
    digest = hashlib.sha256(payload).hexdigest()
    header = data[:header_bytes].decode()
    header = re.sub(r"(?m)^hash=\w+", f"hash={digest[:32]}", header)
    header = re.sub(r"(?m)^payload_sha256=\w+", f"payload_sha256={digest}", header)
    target.write_bytes(header.encode() + data[header_bytes : header_bytes + tool_bytes] + payload)
    target.chmod(0o755)
    whole = hashlib.sha256(target.read_bytes()).hexdigest()
    target.with_name(target.name + ".sha256").write_text(f"{whole}  {target.name}\n")
    return digest[:32]


def hash_of(file: Path) -> str:
    """Return the hash of a file's tree."""
    with file.open("rb") as stream:
        return _value(stream.read(4096), "hash")


def _value(data: bytes, name: str) -> str:
    found = re.search(rf"(?m)^{name}=(\w+)".encode(), data)
    assert found is not None
    return found[1].decode()


def _member(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    buffer = io.BytesIO()
    buffer.write(info.tobuf(format=tarfile.USTAR_FORMAT))
    buffer.write(content + bytes(-len(content) % tarfile.BLOCKSIZE))
    return buffer.getvalue()
