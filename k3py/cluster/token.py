"""Join tokens: `K10<SHA-256 of the server CA file>::<user>:<password>`, or the password alone (J-01 to J-06).

The hash lets a joining machine check the server before it shows the password.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError, K3pyError
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_SEVERAL: Final = 2
_SECURE: Final = re.compile(r"K10(?P<hash>[0-9a-f]{64})?::(?P<credentials>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """A parsed token; `ca_hash` is "" for the short form; `user` is "" when the token does not name one."""

    ca_hash: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"JoinToken(user={self.user!r})"


def parse_token(text: str) -> JoinToken:
    """Read a token of either form.

    Raises:
        ConfigError: empty, a hash of the wrong length, or no password (J-04); the message does not repeat the token.
    """
    if not text:
        raise ConfigError("--token: must not be empty")
    match = _SECURE.fullmatch(text)
    if match is None:
        if text.startswith("K10"):
            raise ConfigError("--token: must be K10<64 hexadecimal digits>::<user>:<password>")
        return JoinToken(ca_hash="", user="", password=text)
    user, colon, password = match["credentials"].partition(":")
    if not colon:
        user, password = "", match["credentials"]
    if not password:
        raise ConfigError("--token: must hold a password behind the user name")
    return JoinToken(ca_hash=match["hash"] or "", user=user, password=password)


def hash_ca(pem: bytes) -> str:
    """Return the hash of a CA file as tokens carry it (J-03): of the file, or of the root that a chain of several certificates leads to.

    "" for several certificates that are not one chain: whoever pinned the one must not come to trust the others.
    """
    if pem.count(_BEGIN) < _SEVERAL:
        return hashlib.sha256(pem).hexdigest()
    root = _root_of(pem, as_pem=False)
    return hashlib.sha256(root).hexdigest() if root else ""


def is_pinned_by(pem: bytes, ca_hash: str) -> bool:
    """Say whether a CA file is the one that a token pins: by its hash, or because its root alone, as a file, has that hash.

    The latter after authorities were replaced by cross-signed ones: a token of the root's days stays good.
    """
    if secrets.compare_digest(hash_ca(pem), ca_hash):
        return True
    root = _root_of(pem, as_pem=True) if pem.count(_BEGIN) >= _SEVERAL else b""
    return bool(root) and secrets.compare_digest(hashlib.sha256(root).hexdigest(), ca_hash)


def _root_of(pem: bytes, *, as_pem: bool) -> bytes:
    """Return the root of a chain, b"" when the certificates are no single chain."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - few have chains

    from k3py.pki.chain import find_root  # noqa: PLC0415

    try:
        root = find_root(pem)
    except ValueError:
        return b""
    return root.public_bytes(Encoding.PEM if as_pem else Encoding.DER) if root is not None else b""


def read_password(server_dir: Path) -> str:
    """Return the password of the token that a data dir was made with, "" when there is none. Blocking.

    Raises:
        ConfigError: the file holds no token.
        K3pyError: it cannot be read.
    """
    file = server_dir / "token"
    try:
        stored = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    except OSError as error:
        raise K3pyError(f"{file}: cannot be read: {error.strerror}") from error
    return parse_token(stored).password if stored else ""


def write_server_token(server_dir: Path, ca_pem: bytes, password: str) -> str:
    """Return the server's token in secure form, writing `token` (0600) and the link `node-token` where they differ (L-01, L-02). Blocking.

    Raises:
        K3pyError: they cannot be written.
    """
    file = server_dir / "token"
    text = f"K10{hash_ca(ca_pem)}::server:{password}"
    try:
        if not file.exists() or file.read_text(encoding="utf-8").strip() != text:
            write_atomically(file, text.encode() + b"\n", mode=0o600)
        link = server_dir / "node-token"
        if not link.is_symlink():
            link.unlink(missing_ok=True)
            link.symlink_to("token")
    except OSError as error:
        raise K3pyError(f"{file}: cannot be written: {error.strerror}") from error
    return text


def write_agent_token(server_dir: Path, ca_pem: bytes, agent_token: str) -> None:
    """Write `agent-token` (0600) in secure form, or make it a link to `token` when agents have none of their own (L-03). Blocking.

    Raises:
        K3pyError: it cannot be written.
    """
    file = server_dir / "agent-token"
    try:
        if not agent_token:
            if not file.is_symlink():
                file.unlink(missing_ok=True)
                file.symlink_to("token")
            return
        text = f"K10{hash_ca(ca_pem)}::node:{parse_token(agent_token).password}\n"
        if file.is_symlink() or not file.exists() or file.read_text(encoding="utf-8") != text:
            write_atomically(file, text.encode(), mode=0o600)
    except OSError as error:
        raise K3pyError(f"{file}: cannot be written: {error.strerror}") from error
