"""Reads an EncryptionConfiguration (apiserver.config.k8s.io/v1): which kinds are sealed, and by which keys.

Source: k8s.io/apiserver/pkg/apis/apiserver/{v1,validation} and pkg/server/options/encryptionconfig v0.35.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError
from k3py.storage.encryption.providers import KEYED, Plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject, JsonValue
    from k3py.storage.encryption.providers import Provider

_VERSIONS: Final = ("apiserver.config.k8s.io/v1", "v1")
_NOT_BUILT: Final = "kms"


@dataclass(frozen=True, slots=True)
class Rule:
    """resources: as written ("secrets", "deployments.apps", "*.apps", "*.", "*.*"); providers: the first seals, all open."""

    resources: tuple[str, ...]
    providers: tuple[Provider, ...]

    def covers(self, kind: Kind) -> bool:
        """Say whether objects of a kind fall under this rule."""
        full = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
        return any(one in (full, f"*.{kind.group}", "*.*") for one in self.resources)


def parse_encryption(document: JsonValue, source: str) -> tuple[Rule, ...]:
    """Return the rules of a configuration, in order: the first that covers a kind counts.

    Raises:
        ConfigError: it cannot be used; the message names the field, never a secret.
    """
    if not isinstance(document, dict) or document.get("kind") != "EncryptionConfiguration":
        raise ConfigError(f"{source}: kind: must be EncryptionConfiguration")
    if document.get("apiVersion") not in _VERSIONS:
        raise ConfigError(f"{source}: apiVersion: must be {_VERSIONS[0]}")
    resources = document.get("resources")
    if not isinstance(resources, list) or not resources:
        raise ConfigError(f"{source}: resources: must hold at least one entry")
    return tuple(_read_rule(one, f"{source}: resources[{index}]") for index, one in enumerate(resources))


def _read_rule(entry: JsonValue, where: str) -> Rule:
    entry = _object(entry, where)
    names, providers = entry.get("resources"), entry.get("providers")
    if not isinstance(names, list) or not names or not all(isinstance(one, str) and one for one in names):
        raise ConfigError(
            f"{where}.resources: must be names of resources such as secrets or deployments.apps"
        )
    if not isinstance(providers, list) or not providers:
        raise ConfigError(f"{where}.providers: must hold at least one entry")
    read: list[Provider] = []
    for index, one in enumerate(providers):
        read += _read_provider(one, f"{where}.providers[{index}]")
    return Rule(tuple(str(one) for one in names), tuple(read))


def _read_provider(entry: JsonValue, where: str) -> Sequence[Provider]:
    entry = _object(entry, where)
    if len(entry) != 1:
        raise ConfigError(f"{where}: must name exactly one provider")
    [(name, settings)] = entry.items()
    if name == "identity":
        return (Plain(),)
    if name not in KEYED:
        allowed = ", ".join((*KEYED, "identity"))
        also = " (k3py has no key management plugins)" if name == _NOT_BUILT else ""
        raise ConfigError(f"{where}: {name!r}: must be one of {allowed}{also}")
    keys = _object(settings, f"{where}.{name}").get("keys")
    if not isinstance(keys, list) or not keys:
        raise ConfigError(f"{where}.{name}.keys: must hold at least one key")
    make, lengths = KEYED[name]
    read: list[Provider] = []
    for index, entry_of_key in enumerate(keys):
        path = f"{where}.{name}.keys[{index}]"
        key = _object(entry_of_key, path)
        label = key.get("name")
        if not isinstance(label, str) or not label or ":" in label:
            raise ConfigError(f"{path}.name: must be a text without colons")
        if any(one.name == label for one in read):
            raise ConfigError(f"{path}.name: {label!r}: is the name of another key, too")
        read.append(make(label, _read_secret(key.get("secret"), lengths, f"{path}.secret")))
    return read


def _read_secret(text: JsonValue, lengths: tuple[int, ...], where: str) -> bytes:
    try:
        secret = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except binascii.Error:
        raise ConfigError(f"{where}: must be base64") from None
    if len(secret) not in lengths:
        allowed = " or ".join(str(one) for one in lengths)
        raise ConfigError(f"{where}: must be {allowed} bytes in base64, these are {len(secret)}")
    return secret


def _object(value: JsonValue, where: str) -> JsonObject:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: must be an object")
    return value
