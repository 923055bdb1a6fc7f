"""The files that `--datastore-cafile`, `-certfile` and `-keyfile` name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files for TLS to the datastore: the authority that signed its certificate, and our certificate and key."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.ca or self.certificate or self.key)
