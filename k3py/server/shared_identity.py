"""Finds the token and the files that all servers of a cluster share, in the datastore and on the disk, before anything uses them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.cluster.bootstrap_data.document import SharedFile
from k3py.cluster.bootstrap_data.files import SharedFiles
from k3py.cluster.bootstrap_data.sealing import key_for
from k3py.cluster.bootstrap_data.sharing import BootstrapStore, find_keys, share
from k3py.cluster.token import parse_token, read_password, write_server_token
from k3py.errors import ConfigError, K3pyError
from k3py.pki.layout import pki_paths
from k3py.pki.provision import ensure_authorities
from k3py.server.secrets_encryption.start import start_encryption
from k3py.server.token_rotation import finish_rotation
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.config.server import ServerConfig
    from k3py.datastore.interface import Backend


class ChangedElsewhere(K3pyError):
    """Another server changed a shared file at the same time."""


@dataclass(slots=True)
class SharedIdentity:
    """What all servers share: the token's password, files, and where they lie in the datastore."""

    password: str
    files: SharedFiles
    store: BootstrapStore

    def __repr__(self) -> str:
        return "SharedIdentity(…)"

    async def move(self, password: str) -> None:
        """Seal everything in the datastore by another password.

        Raises:
            BadBootstrapData, Unavailable: the datastore's copy cannot be read or written.
        """
        while not await self.store.move(password):
            pass
        self.password = password
        self.store = self.store.under(password)

    async def change(self, new: Mapping[str, bytes], before: Mapping[str, bytes]) -> None:
        """Replace files in the datastore, if they are still what they were `before` here.

        Raises:
            ChangedElsewhere: another server changed them; nothing has changed here.
            BadBootstrapData, Unavailable: the datastore's copy cannot be read or written.
        """
        while True:
            stored = await self.store.read()
            for name in new:
                known = stored.files.get(name)
                if known is not None and known.content not in (before.get(name, b""), new[name]):
                    raise ChangedElsewhere("another server has changed the keys meanwhile: try again")
            changed = {name: SharedFile(content, clock.now()) for name, content in new.items()}
            if await self.store.write({**stored.files, **changed}, expected=stored.revision):
                return


async def share_identity(config: ServerConfig, backend: Backend, *, restored: bool = False) -> SharedIdentity:
    """Decide the token, then bring disk and datastore to the same files, making those that are nowhere.

    restored: see `share`.

    Raises:
        ConfigError: --token is not the data dir's, or must be given.
        BadBootstrapData: the datastore is another cluster's, or contradicts the disk.
        K3pyError: a file cannot be read or written.
        Unavailable: the datastore does not answer.
    """
    folder = config.data_dir / "server"
    await finish_rotation(backend, folder, pki_paths(config.data_dir).authority("server-ca").read_bytes)
    password = await _find_password(backend, folder, config.token)
    files, store = SharedFiles(folder), BootstrapStore(backend, password)

    def make() -> None:
        authorities = ensure_authorities(pki_paths(config.data_dir))
        # Before the datastore has what only this password opens.
        write_server_token(folder, authorities["server-ca"].certificate, password)
        start_encryption(config)

    await share(store, files, make, restored=restored)
    return SharedIdentity(password, files, store)


async def _find_password(backend: Backend, folder: Path, given: str) -> str:
    known = await asyncio.to_thread(read_password, folder)
    wanted = parse_token(given).password if given else ""
    keys = await find_keys(backend)
    if wanted and known and not secrets.compare_digest(wanted.encode(), known.encode()):
        if key_for(wanted) not in keys:
            raise ConfigError(
                f"--token: differs from the one in {folder / 'token'}; use that one, or rotate it"
            )
        return wanted  # another server has rotated it
    if not wanted and not known:
        if keys:
            raise ConfigError(
                "--token: must be given: the datastore belongs to a cluster that has one (its servers have it in their data dir, server/token)"
            )
        return secrets.token_hex(16)
    return wanted or known
