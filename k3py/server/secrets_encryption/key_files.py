"""server/cred/encryption-config.json and encryption-state.json (L-08): written so that a kill at any point leaves a step done or not done."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.server.secrets_encryption.key_ring import KeyRing, enable, make_key, read_ring
from k3py.util import clock
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

CONFIG: Final = "encryption-config.json"
STATE: Final = "encryption-state.json"


def as_files(ring: KeyRing) -> dict[str, bytes]:
    """Return the content of both files, by K3s' names; {} of a ring that was never written."""
    if not ring.keys and ring.stage == "start":
        return {}
    return {"EncryptionConfig": ring.document, "EncryptionHash": ring.state.encode() + b"\n"}


class KeyFiles:
    """The two files of one server; all methods block."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / CONFIG
        self._state = folder / STATE

    def load(self, *, wanted: bool, provider: str) -> KeyRing:
        """Return the keys, making the first one when `wanted` and there is none.

        Raises:
            ConfigError: a file is damaged.
            K3pyError: a file cannot be read or written.
        """
        try:
            if self._config.exists():
                state = self._state.read_text() if self._state.exists() else ""
                ring = read_ring(self._config.read_bytes(), state, str(self._config))
            else:
                ring = KeyRing()
            if wanted and not ring.keys and ring.stage == "start":
                ring = enable(ring, make_key(provider, clock.now(), first=True))
                self.save(ring)
                log.info(
                    "made a key for Secrets", extra={"file": str(self._config), "key": ring.keys[0].name}
                )
        except OSError as error:
            raise K3pyError(f"{error.filename or self._config}: {error.strerror}") from error
        return ring

    def save(self, ring: KeyRing) -> None:
        """Write both, the state first: see `key_ring`. Raises OSError."""
        self._config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._state, ring.state.encode() + b"\n", mode=0o600)
        document = ring.document
        if not self._config.exists() or self._config.read_bytes() != document:
            write_atomically(self._config, document, mode=0o600)
