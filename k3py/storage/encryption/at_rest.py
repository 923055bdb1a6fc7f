"""Seals and opens documents by the rules in force, which may change while the server runs.

A document is opened by the provider whose prefix it has, so keys can be added and moved at any time; a new document is sealed by the
first provider. `is_current` tells documents that are still sealed by another one, for re-encryption.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.storage.encryption.errors import SealBroken
from k3py.storage.encryption.providers import MARK, Plain

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.storage.codec import Transformer, TransformerSource
    from k3py.storage.encryption.configuration import Rule
    from k3py.storage.encryption.providers import Provider


class KindTransformer:
    """What happens to documents of one kind."""

    __slots__ = ("_providers", "kind")

    def __init__(self, kind: Kind, providers: tuple[Provider, ...]) -> None:
        self.kind = kind
        self._providers = providers

    def use(self, providers: tuple[Provider, ...]) -> None:
        """Go over to other keys: the first seals, all open."""
        self._providers = providers

    def seal(self, key: bytes, data: bytes) -> bytes:
        """Return `data` sealed by the first provider."""
        return self._providers[0].seal(key, data)

    def open(self, key: bytes, data: bytes) -> bytes:
        """Return the document; raises SealBroken when no key fits."""
        if not data.startswith(MARK):
            return data
        for provider in self._providers:
            if provider.prefix and data.startswith(provider.prefix):
                try:
                    document = provider.open(key, data)
                except SealBroken as error:
                    raise SealBroken(f"{key.decode()}: cannot be decrypted: {error}") from error
                if document.startswith(b"{"):
                    return document
                # aescbc opens with any key of the same name, when chance fits the padding
                raise SealBroken(f"{key.decode()}: cannot be decrypted: another key of this name sealed it")
        sealed_by = data[len(MARK) :].split(b":", 3)
        name = sealed_by[2].decode(errors="replace") if len(sealed_by) == 4 else "?"
        raise SealBroken(
            f"{key.decode()}: is encrypted with the key {name!r}, which is not in the encryption configuration"
        )

    def is_current(self, data: bytes) -> bool:
        """Say whether a stored document is sealed as a new one would be."""
        prefix = self._providers[0].prefix
        return data.startswith(prefix) if prefix else not data.startswith(MARK)


class EncryptionAtRest:
    """Gives every kind its transformer, and all of them new rules."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._transformers: list[KindTransformer] = []

    def transformer_for(self, kind: Kind) -> KindTransformer:
        """Return the transformer of a kind that is stored."""
        made = KindTransformer(kind, self._providers_for(kind))
        self._transformers.append(made)
        return made

    def covers(self, kind: Kind) -> bool:
        """Say whether a rule is about a kind."""
        return any(rule.covers(kind) for rule in self._rules)

    def use(self, rules: tuple[Rule, ...]) -> None:
        """Go over to other rules at once; what is stored stays as it is."""
        self._rules = rules
        for one in self._transformers:
            one.use(self._providers_for(one.kind))

    def _providers_for(self, kind: Kind) -> tuple[Provider, ...]:
        found = next((rule.providers for rule in self._rules if rule.covers(kind)), ())
        return found or (Plain(),)


if TYPE_CHECKING:

    def _check(one: EncryptionAtRest, other: KindTransformer) -> tuple[TransformerSource, Transformer]:
        return one, other
