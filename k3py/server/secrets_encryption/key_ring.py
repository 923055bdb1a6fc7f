"""The keys of Secrets and the steps in which they change, without files and storage.

Document: the EncryptionConfiguration that K3s writes (S-10): one rule for `secrets`; the first provider seals.
Source: k3s pkg/secretsencrypt, pkg/server/handlers/secrets-encrypt.go (S-11 to S-17).
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, cast

import orjson

from k3py.errors import ConfigError, K3pyError
from k3py.storage.encryption.configuration import parse_encryption

if TYPE_CHECKING:
    import datetime as dt

    from k3py.jsontypes import JsonObject
    from k3py.storage.encryption.configuration import Rule

Stage = Literal["start", "prepare", "rotate", "reencrypt_request", "reencrypt_active", "reencrypt_finished"]
STAGES: Final = ("start", "prepare", "rotate", "reencrypt_request", "reencrypt_active", "reencrypt_finished")
BUSY: Final = ("reencrypt_request", "reencrypt_active")
TYPES: Final = {"aescbc": "AES-CBC", "secretbox": "XSalsa20-POLY1305", "aesgcm": "AES-GCM"}
_SECRET_BYTES: Final = 32


class RotationRefused(K3pyError):
    """A step is not possible now; the message says why and what is."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key; its secret shows in no representation."""

    provider: str
    name: str
    secret: str

    def __repr__(self) -> str:
        return f"Key({self.provider!r}, {self.name!r})"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """keys: the first seals when `enabled`, all open. keep: old keys stay when re-encryption is done."""

    keys: tuple[Key, ...] = ()
    enabled: bool = False
    stage: Stage = "start"
    keep: bool = False

    @property
    def document(self) -> bytes:
        """Return the configuration as it is written."""
        providers: list[JsonObject] = []
        for provider, keys in groupby(self.keys, lambda one: one.provider):
            entries = [{"name": one.name, "secret": one.secret} for one in keys]
            providers.append({provider: {"keys": entries}})
        providers.insert(len(providers) if self.enabled else 0, {"identity": {}})
        rule = {"resources": ["secrets"], "providers": providers}
        configuration = {
            "kind": "EncryptionConfiguration",
            "apiVersion": "apiserver.config.k8s.io/v1",
            "resources": [rule],
        }
        return orjson.dumps(configuration)

    @property
    def state(self) -> str:
        """Return the state file's line: stage, hash of the configuration, and whether old keys stay."""
        return f"{self.stage}-{hash_of(self.document)}{'-keep' if self.keep else ''}"

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return what storage goes by."""
        return parse_encryption(orjson.loads(self.document), "encryption configuration")


def hash_of(document: bytes) -> str:
    """Return the hash by which servers compare configurations."""
    return hashlib.sha256(document).hexdigest()


def read_ring(document: bytes, state: str, source: str) -> KeyRing:
    """Read both files; a state that belongs to another document is one whose change was cut short (see `_settle`).

    Raises:
        ConfigError: the document is damaged or was not written by k3py or K3s.
    """
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{source}: is damaged: {error}") from error
    parse_encryption(parsed, source)
    rules = parsed["resources"]
    if len(rules) != 1 or rules[0]["resources"] != ["secrets"]:
        raise ConfigError(
            f"{source}: resources: must hold one entry for secrets alone; name your own file otherwise"
        )
    keys, identity_at = [], -1
    for index, entry in enumerate(rules[0]["providers"]):
        [(provider, settings)] = entry.items()
        if provider == "identity":
            identity_at = index
        else:
            keys += [Key(provider, one["name"], one["secret"]) for one in settings["keys"]]
    ring = KeyRing(tuple(keys), enabled=bool(keys) and identity_at != 0)
    return _settle(ring, document, state.strip())


def _settle(ring: KeyRing, document: bytes, state: str) -> KeyRing:
    """The state is written before the document. If the document did not follow, the step did not happen, and what stood before goes on."""
    stage, _, rest = state.partition("-")
    hashed, _, keep = rest.partition("-")
    if stage not in STAGES:
        stage = "start"
    elif hashed != hash_of(document):
        if stage == "reencrypt_finished":  # all was sealed, only the old keys were not dropped yet
            stage = "reencrypt_request"
        else:
            stage = "prepare" if len(ring.keys) > 1 and ring.enabled else "start"
    return replace(ring, stage=cast("Stage", stage), keep=keep == "keep")


def make_key(provider: str, now: dt.datetime, *, first: bool) -> Key:
    """Make a random key; K3s names the first `aescbckey`, later ones after the time."""
    name = f"{provider}key" if first else f"{provider}key-{now.strftime('%Y-%m-%dT%H%M%SZ')}"
    return Key(provider, name, base64.b64encode(os.urandom(_SECRET_BYTES)).decode())


def enable(ring: KeyRing, key: Key) -> KeyRing:
    """Seal from now on; `key` is used when there is none yet."""
    _require_idle(ring, "enable")
    return replace(ring, keys=ring.keys or (key,), enabled=True, stage="start")


def disable(ring: KeyRing) -> KeyRing:
    """Write plainly from now on; what is sealed stays so until it is re-encrypted, so keys stay."""
    _require_idle(ring, "disable")
    return replace(ring, enabled=False, stage="start")


def prepare(ring: KeyRing, key: Key, *, force: bool = False) -> KeyRing:
    """Add a key that only opens yet."""
    _require_enabled(ring, "prepare")
    _require_aescbc(ring, "prepare")
    if ring.stage not in ("start", "reencrypt_finished") and not force:
        raise RotationRefused(
            f"prepare: the stage is {ring.stage}: must be start or reencrypt_finished, or --force"
        )
    return replace(ring, keys=(*ring.keys, key), stage="prepare")


def rotate(ring: KeyRing, *, force: bool = False) -> KeyRing:
    """Seal with the newest key."""
    _require_enabled(ring, "rotate")
    _require_aescbc(ring, "rotate")
    if ring.stage != "prepare" and not force:
        raise RotationRefused(f"rotate: the stage is {ring.stage}: must be prepare, or --force")
    return replace(ring, keys=(ring.keys[-1], *ring.keys[:-1]), stage="rotate")


def reencrypt(ring: KeyRing, *, force: bool = False, keep: bool = False) -> KeyRing:
    """Ask for re-encryption."""
    if ring.stage in BUSY:
        raise RotationRefused(
            "reencrypt: re-encryption is already going on (see `k3py secrets-encrypt status`)"
        )
    if ring.enabled:
        _require_aescbc(ring, "reencrypt")
    if ring.stage != "rotate" and not force:
        raise RotationRefused(f"reencrypt: the stage is {ring.stage}: must be rotate, or --force")
    return replace(ring, stage="reencrypt_request", keep=keep)


def rotate_keys(ring: KeyRing, key: Key) -> KeyRing:
    """Seal with a new key and ask for re-encryption, whatever unfinished step there was."""
    _require_enabled(ring, "rotate-keys")
    if ring.stage in BUSY:
        raise RotationRefused(
            "rotate-keys: re-encryption is already going on (see `k3py secrets-encrypt status`)"
        )
    return replace(ring, keys=(key, *ring.keys), stage="reencrypt_request", keep=False)


def finish(ring: KeyRing) -> KeyRing:
    """Everything is sealed by the first key, or is plain: drop the others unless they shall stay."""
    keys = ring.keys
    if not ring.keep:
        keys = keys[:1] if ring.enabled else ()
    return replace(ring, keys=keys, stage="reencrypt_finished", keep=False)


def _require_idle(ring: KeyRing, step: str) -> None:
    if ring.stage not in ("start", "reencrypt_finished"):
        raise RotationRefused(f"{step}: the stage is {ring.stage}: must be start or reencrypt_finished")


def _require_enabled(ring: KeyRing, step: str) -> None:
    if not ring.enabled:
        raise RotationRefused(f"{step}: secrets encryption is disabled: `k3py secrets-encrypt enable` first")


def _require_aescbc(ring: KeyRing, step: str) -> None:
    if ring.keys and ring.keys[0].provider != "aescbc":
        raise RotationRefused(f"{step}: is for aescbc keys only; use `k3py secrets-encrypt rotate-keys`")
