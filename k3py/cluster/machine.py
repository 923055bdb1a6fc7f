"""What a machine keeps about itself, outside of the data dir: its node password and id (L-46)."""

from __future__ import annotations

import secrets
from pathlib import Path

from k3py.util.files import write_atomically

FOLDER = Path("/etc/k3py/node")


def ensure_password(folder: Path = FOLDER) -> str:
    """Return this machine's node password, 32 hexadecimal digits, made once (0600). Blocking."""
    return _ensure(folder / "password", 16)


def ensure_id(folder: Path = FOLDER) -> str:
    """Return this machine's id, 8 hexadecimal digits, made once. Blocking."""
    return _ensure(folder / "id", 4)


def _ensure(file: Path, size_bytes: int) -> str:
    if file.exists():
        return file.read_text(encoding="utf-8").strip()
    file.parent.mkdir(parents=True, exist_ok=True)
    text = secrets.token_hex(size_bytes)
    write_atomically(file, text.encode() + b"\n", mode=0o600)
    return text
