"""The node's own name servers, read again when their file changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.dns_config import parse_resolv_conf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class NameServers:
    """Call it for the addresses of a resolv.conf; a file that is missing has none. Costs a stat when nothing changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._servers: tuple[str, ...] = ()

    def __call__(self) -> Sequence[str]:
        """Return the addresses, in the file's order."""
        try:
            status = self._path.stat()
        except OSError:
            return ()
        version = (status.st_mtime_ns, status.st_ino)
        if version != self._version:
            self._servers = parse_resolv_conf(
                self._path.read_text(encoding="utf-8", errors="replace")
            ).servers
            self._version = version
        return self._servers
