"""Where the files of a server's etcd member lie, and where it listens (L-14, J-81)."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.datastore.tls_files import TlsFiles
from k3py.util import clock
from k3py.util.files import sync_folder, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX_BYTES: Final = 4
_KEPT: Final = 5
_OLD: Final = "etcd-old-"

INFO_PATH: Final = "/db/info"
"""Where servers list the members for those who join (J-36)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdPorts:
    """Ports of a member; K3s has fixed ones, too."""

    client: int = 2379
    peer: int = 2380
    metrics: int = 2381


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdLayout:
    """The member of the server in `data_dir`."""

    data_dir: Path
    ports: EtcdPorts = field(default_factory=EtcdPorts)

    @property
    def folder(self) -> Path:
        """Return etcd's data dir."""
        return self.data_dir / "server/db/etcd"

    @property
    def tls(self) -> Path:
        """Return the folder of its certificates."""
        return self.data_dir / "server/tls/etcd"

    @property
    def name_file(self) -> Path:
        """Return the file that keeps the member's name."""
        return self.folder / "name"

    @property
    def config_file(self) -> Path:
        """Return etcd's own configuration file."""
        return self.folder / "config"

    @property
    def pid_file(self) -> Path:
        """Return the file that tells a later k3py of a leftover process."""
        return self.data_dir / "server/db/etcd.pid"

    @property
    def tombstone(self) -> Path:
        """Return the file that says: this member was removed from its cluster (J-82)."""
        return self.folder / "tombstone"

    @property
    def voters_file(self) -> Path:
        """Return the file with the client URLs of the members that had a vote when this one joined."""
        return self.folder / "voters"

    @property
    def alone_mark(self) -> Path:
        """Return the file that is there while this member has always been the only one: its elections can be quick."""
        return self.folder / "alone"

    @property
    def restore_mark(self) -> Path:
        """Return the file that is there while a snapshot is put back."""
        return self.data_dir / "server/db/etcd-restoring"

    @property
    def migration_mark(self) -> Path:
        """Return the file that is there while the content of SQLite is copied into etcd."""
        return self.folder / "migrating"

    @property
    def log_file(self) -> Path:
        """Return the log of the etcd process."""
        return self.data_dir / "server/logs/etcd.log"

    @property
    def has_member(self) -> bool:
        """Say whether this server is, or was, a member: etcd has begun its log."""
        return any((self.folder / "member/wal").glob("*.wal"))

    @property
    def endpoint(self) -> str:
        """Return this server's own member as `--datastore-endpoint` would name it."""
        return f"https://127.0.0.1:{self.ports.client}"

    @property
    def tls_files(self) -> TlsFiles:
        """Return what a client of the members needs."""
        return TlsFiles(self.tls / "server-ca.crt", self.tls / "client.crt", self.tls / "client.key")


def ensure_member_name(layout: EtcdLayout, node_name: str) -> str:
    """Return the member's name, `<node>-<8 hexadecimal digits>`, making it at the first start (J-79). Blocking. Raises OSError."""
    if layout.name_file.exists():
        return layout.name_file.read_text(encoding="utf-8").strip()
    for folder in (layout.folder.parent, layout.folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.folder.chmod(0o700)
    name = f"{node_name}-{secrets.token_hex(_SUFFIX_BYTES)}"
    write_atomically(layout.name_file, name.encode() + b"\n")
    return name


def put_aside(layout: EtcdLayout) -> Path | None:
    """Move a member's data to `db/etcd-old-<seconds>`, of which the newest five are kept; return where to. Blocking. Raises OSError."""
    if not layout.folder.exists():
        return None
    stamps = [_stamp_of(one) for one in layout.folder.parent.glob(f"{_OLD}*")]
    kept = layout.folder.with_name(f"{_OLD}{max([int(clock.wall_s()), *(stamp + 1 for stamp in stamps)])}")
    layout.folder.rename(kept)
    sync_folder(kept.parent)
    for old in sorted(kept.parent.glob(f"{_OLD}*"), key=_stamp_of)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return kept


def _stamp_of(folder: Path) -> int:
    text = folder.name.removeprefix(_OLD)
    return int(text) if text.isdecimal() else 0


def node_of(member_name: str) -> str:
    """Return the node's name in a member's."""
    return member_name.rpartition("-")[0]
