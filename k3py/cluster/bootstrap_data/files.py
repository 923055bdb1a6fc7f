"""The shared files on a server's disk: which they are, reading and writing them (all block).

Files are named by K3s' names, never by a path: what another server sends can only land where the table says.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Final

from k3py.cluster.bootstrap_data.document import SharedFile
from k3py.errors import K3pyError
from k3py.util import clock
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

FILES: Final[Mapping[str, str]] = {
    "ServerCA": "tls/server-ca.crt",
    "ServerCAKey": "tls/server-ca.key",
    "ClientCA": "tls/client-ca.crt",
    "ClientCAKey": "tls/client-ca.key",
    "RequestHeaderCA": "tls/request-header-ca.crt",
    "RequestHeaderCAKey": "tls/request-header-ca.key",
    "ETCDServerCA": "tls/etcd/server-ca.crt",
    "ETCDServerCAKey": "tls/etcd/server-ca.key",
    "ETCDPeerCA": "tls/etcd/peer-ca.crt",
    "ETCDPeerCAKey": "tls/etcd/peer-ca.key",
    "ServiceKey": "tls/service.key",
    "PasswdFile": "cred/passwd",
    "IPSECKey": "cred/ipsec.psk",
    "EncryptionConfig": "cred/encryption-config.json",
    "EncryptionHash": "cred/encryption-state.json",
}
"""K3s' name of a shared file → where it lies below <data-dir>/server."""

ENCRYPTION: Final = ("EncryptionConfig", "EncryptionHash")
"""Those that change while servers run: in the datastore first, so that its copy is always the right one."""

_CHANGED: Final = "cred/changed-files"


class SharedFiles:
    """The shared files of one server."""

    def __init__(self, server_dir: Path) -> None:
        """Take <data-dir>/server."""
        self._dir = server_dir

    def path(self, name: str) -> Path:
        """Return where a file lies."""
        return self._dir / FILES[name]

    def read(self) -> dict[str, SharedFile]:
        """Return the files that are there and not empty. Raises K3pyError."""
        found = {}
        for name in FILES:
            path = self.path(name)
            try:
                content, changed = path.read_bytes(), path.stat().st_mtime
            except FileNotFoundError:
                continue
            except OSError as error:
                raise K3pyError(f"{path}: cannot be read: {error.strerror}") from error
            if content:
                found[name] = SharedFile(content, dt.datetime.fromtimestamp(changed, dt.UTC))
        return found

    def keep(self, names: Iterable[str]) -> None:
        """Copy what is about to be replaced to `server/replaced-<time>`. Raises K3pyError."""
        target = self._dir / f"replaced-{clock.now():%Y%m%dT%H%M%SZ}"
        for name in names:
            path = self.path(name)
            try:
                if path.exists():
                    target.mkdir(mode=0o700, exist_ok=True)
                    write_atomically(target / path.name, path.read_bytes(), mode=0o600)
            except OSError as error:
                raise K3pyError(f"{error.filename}: {error.strerror}") from error

    def write(self, files: Mapping[str, SharedFile]) -> None:
        """Write files (mode 0600); names that this release does not know are left out. Raises K3pyError."""
        for name, one in files.items():
            if name not in FILES:
                log.warning("bootstrap data has a file that this release does not know", extra={"file": name})
                continue
            path = self.path(name)
            try:
                for folder in (self._dir, path.parent):
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    folder.chmod(0o700)
                write_atomically(path, one.content, mode=0o600)
            except OSError as error:
                raise K3pyError(f"{path}: cannot be written: {error.strerror}") from error

    def marked(self) -> frozenset[str]:
        """Return the names of files that a command changed on purpose while the server was stopped. Raises K3pyError."""
        mark = self._dir / _CHANGED
        try:
            return frozenset(mark.read_text().split()) & FILES.keys() if mark.exists() else frozenset()
        except OSError as error:
            raise K3pyError(f"{mark}: cannot be read: {error.strerror}") from error

    def mark(self, names: Iterable[str]) -> None:
        """Note that files are changed on purpose: the next start takes them into the datastore. Raises K3pyError."""
        mark = self._dir / _CHANGED
        try:
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(mark, "\n".join(sorted({*names, *self.marked()})).encode() + b"\n")
        except OSError as error:
            raise K3pyError(f"{mark}: cannot be written: {error.strerror}") from error

    def unmark(self) -> None:
        """The datastore has what was changed."""
        (self._dir / _CHANGED).unlink(missing_ok=True)
