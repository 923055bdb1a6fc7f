"""Carries out the steps of `k3py secrets-encrypt` in the running server, and re-encrypts what is stored.

No restart is needed: keys are taken into use as they are written. Re-encryption that was cut short goes on at the next start.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from k3py.datastore.errors import DatastoreError
from k3py.errors import K3pyError
from k3py.server.secrets_encryption import key_ring
from k3py.server.secrets_encryption.key_files import as_files
from k3py.server.secrets_encryption.key_ring import BUSY, TYPES, KeyRing, RotationRefused, hash_of, make_key
from k3py.util import clock
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject
    from k3py.server.secrets_encryption.key_files import KeyFiles
    from k3py.storage.encryption.at_rest import EncryptionAtRest
    from k3py.storage.factory import CachedStorage
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)

_TOLD_EVERY: Final = 1000
_AGREE_S: Final = 30.0


class NotAgreed(K3pyError):
    """Another server does not take the keys."""


class ShareKeys(Protocol):
    """Puts the two files into the datastore, before they are written here."""

    async def __call__(self, new: Mapping[str, bytes], before: Mapping[str, bytes]) -> None:
        """Replace files, by K3s' names, that were `before`. Raises K3pyError: another server changed them, or no datastore answers."""


class Peers(Protocol):
    """The living servers of the same datastore, and which keys each has."""

    async def tell(self, keys_hash: str) -> None:
        """Let the others know which keys this server has now. Raises DatastoreError."""

    def keys_hashes(self) -> Mapping[str, str]:
        """Return the state and hash of the keys by server, this one's first."""

    async def wait_changed(self) -> None:
        """Return when a server came, went or told something new since this was last called."""


class SecretsEncryption:
    """A component: waits until re-encryption is asked for.

    Args:
        ring, files: the keys now, and where they lie.
        at_rest: what storage seals by.
        storage, kinds: what is stored.
        provider: of new keys.
        share: see ShareKeys.
    """

    name = "secrets-encryption"
    policy = Policy.RESTART

    def __init__(
        self,
        ring: KeyRing,
        files: KeyFiles,
        at_rest: EncryptionAtRest,
        storage: CachedStorage,
        kinds: Iterable[Kind],
        *,
        provider: str,
        share: ShareKeys,
    ) -> None:
        self._ring = ring
        self._files = files
        self._at_rest = at_rest
        self._storage = storage
        self._kinds = kinds
        self._provider = provider
        self._share = share
        self._peers: Peers | None = None
        self._leads = True
        self._asked = asyncio.Event()
        self._changing = asyncio.Lock()
        self._done = 0
        self._total = 0
        self._fault = ""

    async def run(self, started: Callable[[], None]) -> None:
        """Re-encrypt whenever it is asked for, until cancelled. Raises K3pyError: it is tried again."""
        started()
        self._ask()
        while True:
            await self._asked.wait()
            try:
                await self._reencrypt()
            except (K3pyError, OSError) as error:
                self._fault = str(error)
                raise
            self._asked.clear()

    def _ask(self) -> None:
        """Have what is wanted re-encrypted, if it is this server that does it."""
        if self._leads and self._ring.stage in BUSY:
            self._asked.set()

    def lead(self, *, whether: bool) -> None:
        """Be the one of several servers that re-encrypts, or leave it to another: whoever asked, and whichever died over it."""
        self._leads = whether
        self._ask()

    async def follow(self, peers: Peers) -> None:
        """Agree with other servers about keys from now on; re-encrypt only when told to `lead`. Raises DatastoreError."""
        if self._peers is None:
            self._leads = False
        self._peers = peers
        await peers.tell(self._ring.state)

    async def adopt(self, files: Mapping[str, bytes]) -> None:
        """Take keys into use that another server has put into the datastore.

        Raises:
            ConfigError: they cannot be read.
            OSError: they cannot be written here.
        """
        async with self._changing:
            if not files.get("EncryptionConfig") or files == as_files(self._ring):
                return
            state = files.get("EncryptionHash", b"").decode(errors="replace")
            ring = key_ring.read_ring(files["EncryptionConfig"], state, "keys of Secrets in the datastore")
            await self._use(ring)
            self._ask()
            log.info("took keys of Secrets that another server changed", extra={"stage": ring.stage})

    async def change(self, request: JsonObject) -> None:
        """Carry out one step: {"stage": …, "force": …, "skip": …} or {"enable": …} (S-17).

        Raises:
            RotationRefused: not now, or no such step.
            OSError: the files cannot be written; nothing has changed.
        """
        async with self._changing:
            ring = self._next(request)
            await self._introduce(ring)
            await self._take(ring)
            if ring.stage in BUSY:
                self._done = self._total = 0
                self._ask()

    def _next(self, request: JsonObject) -> KeyRing:
        ring, force = self._ring, bool(request.get("force"))
        if isinstance(request.get("enable"), bool):
            if request["enable"]:
                return key_ring.enable(ring, self._new_key(self._provider))
            return key_ring.disable(ring)
        match request.get("stage"):
            case "prepare":
                return key_ring.prepare(ring, self._new_key("aescbc"), force=force)
            case "rotate":
                return key_ring.rotate(ring, force=force)
            case "rotate_keys":
                return key_ring.rotate_keys(ring, self._new_key(self._provider))
            case "reencrypt" | "reencrypt_request":
                return key_ring.reencrypt(ring, force=force, keep=bool(request.get("skip")))
        raise RotationRefused(
            f"stage: {request.get('stage')!r}: must be prepare, rotate, rotate_keys or reencrypt, or enable be true or false"
        )

    def _new_key(self, provider: str) -> key_ring.Key:
        """Make a key whose name is not taken, also when two are made within a second."""
        names = {one.name for one in self._ring.keys}
        now = clock.now()
        key = make_key(provider, now, first=False)
        number = 1
        while key.name in names:
            number += 1
            key = key_ring.Key(
                key.provider, f"{make_key(provider, now, first=False).name}-{number}", key.secret
            )
        return key

    async def _take(self, ring: KeyRing) -> None:
        """Put keys into the datastore, then on the disk, then to use. Raises K3pyError, OSError: nothing has changed here."""
        await self._share(as_files(ring), as_files(self._ring))
        await self._use(ring)

    async def _introduce(self, ring: KeyRing) -> None:
        """Before a new key seals, have all servers know it: they could not read what it seals. Raises K3pyError, OSError."""
        if self._peers is None or not ring.enabled or not ring.keys or ring.keys[0] in self._ring.keys:
            return
        if len(self._peers.keys_hashes()) > 1:
            await self._take(replace(self._ring, keys=(*self._ring.keys, ring.keys[0])))
            await self._agree()

    async def _agree(self) -> None:
        """Wait until all servers have the same keys. Raises NotAgreed."""
        if self._peers is None:
            return
        try:
            async with asyncio.timeout(_AGREE_S):
                while self._strangers():
                    await self._peers.wait_changed()
        except TimeoutError:
            raise NotAgreed(
                f"{', '.join(self._strangers())}: has other keys of Secrets and does not take the new ones: see to that server, then repeat this"
            ) from None

    def _strangers(self) -> list[str]:
        """Return the living servers that have other keys than this one."""
        hashes = self._peers.keys_hashes() if self._peers is not None else {}
        return [name for name, one in hashes.items() if one != self._ring.state]

    async def _use(self, ring: KeyRing) -> None:
        await asyncio.to_thread(self._files.save, ring)
        self._ring = ring
        self._at_rest.use(ring.rules)
        if self._peers is not None:
            try:
                await self._peers.tell(ring.state)
            except DatastoreError as error:
                log.warning(
                    "the other servers do not know yet which keys this one has", extra={"error": str(error)}
                )

    async def _reencrypt(self) -> None:
        async with self._changing:
            if self._ring.stage not in BUSY:  # another server that led has done it
                return
            await self._take(replace(self._ring, stage="reencrypt_active"))
        await self._agree()  # nobody seals with an old key any more
        kinds = {one.storage.prefix: one for one in self._kinds if self._at_rest.covers(one)}
        self._done, self._total, self._fault = 0, 0, ""
        for one in kinds.values():
            self._total += await self._storage.count(one)
        log.info("re-encrypting", extra={"objects": self._total})
        for one in kinds.values():
            await self._storage.reseal(one, self._count)
        async with self._changing:
            if self._ring.stage not in BUSY:
                return
            await self._take(key_ring.finish(self._ring))
        log.info("re-encrypted everything", extra={"objects": self._done})

    def _count(self, more: int) -> None:
        before, self._done = self._done, self._done + more
        if before // _TOLD_EVERY != self._done // _TOLD_EVERY:
            log.info("re-encrypting", extra={"done": self._done, "objects": self._total})

    def status(self) -> JsonObject:
        """Return what `k3py secrets-encrypt status` shows; no secret."""
        ring = self._ring
        active = ring.keys[0] if ring.enabled else None
        others = ring.keys[1:] if ring.enabled else ring.keys
        status: JsonObject = {
            "stage": ring.stage,
            "enable": ring.enabled,
            "hashmatch": not (strangers := self._strangers()),
            "hash": hash_of(ring.document),
            "activekey": {"name": active.name, "type": TYPES[active.provider]} if active else None,
            "inactivekeys": [{"name": one.name, "type": TYPES[one.provider]} for one in others],
        }
        if strangers:
            status["hasherror"] = f"hash does not match between servers: {', '.join(strangers)}"
        if ring.stage in BUSY:
            if self._leads:
                status["progress"] = {"done": self._done, "total": self._total}
            if self._fault:
                status["error"] = self._fault
        return status


if TYPE_CHECKING:

    def _check(one: SecretsEncryption) -> Component:
        return one
