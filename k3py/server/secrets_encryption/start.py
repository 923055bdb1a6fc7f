"""Loads the keys before storage opens, and makes the component that manages them after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.server.secrets_encryption.key_files import KeyFiles
from k3py.server.secrets_encryption.rotation import SecretsEncryption, ShareKeys
from k3py.storage.encryption.at_rest import EncryptionAtRest
from k3py.storage.encryption.configuration import parse_encryption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.api.kind import Kind
    from k3py.config.server import ServerConfig
    from k3py.server.secrets_encryption.key_ring import KeyRing
    from k3py.storage.factory import CachedStorage


@dataclass(frozen=True, slots=True)
class StartedEncryption:
    """What storage seals by; ring None: by the operator's own configuration, which is not managed here."""

    at_rest: EncryptionAtRest
    files: KeyFiles
    ring: KeyRing | None
    provider: str

    def build(
        self, storage: CachedStorage, kinds: Iterable[Kind], share: ShareKeys
    ) -> SecretsEncryption | None:
        """Make the component that carries out `k3py secrets-encrypt`; None = the configuration is the operator's."""
        if self.ring is None:
            return None
        return SecretsEncryption(
            self.ring, self.files, self.at_rest, storage, kinds, provider=self.provider, share=share
        )


def start_encryption(config: ServerConfig) -> StartedEncryption:
    """Load the keys, making the first one if --secrets-encryption asks for it. Blocking.

    Keys that are there are used without the flag, too: what they sealed must stay readable.

    Raises:
        ConfigError: a file is damaged.
        K3pyError: a file cannot be read or written.
    """
    own = config.kube_apiserver_arg.path("encryption-provider-config")
    if own is not None:
        from k3py.config.fields import load_raw_document  # noqa: PLC0415 - most servers have no such file

        rules = parse_encryption(load_raw_document(own, "encryption-provider-config"), str(own))
        return StartedEncryption(EncryptionAtRest(rules), KeyFiles(own.parent), None, "")
    files = KeyFiles(config.data_dir / "server" / "cred")
    provider = config.secrets_encryption_provider
    ring = files.load(wanted=config.secrets_encryption, provider=provider)
    return StartedEncryption(EncryptionAtRest(ring.rules), files, ring, provider)
