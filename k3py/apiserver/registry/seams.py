"""What the registry needs from others: schemas, patches, admission, allocation, tokens, budgets of disruption.

Small Protocols, so that a verb can be tested without the big tables behind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.kind import Kind
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject, JsonValue


class ObjectSchemas(Protocol):
    """Types of objects: which fields there are and what they default to."""

    def decode(self, kind: Kind, obj: JsonObject) -> tuple[JsonObject, list[str]]:
        """Return the object in canonical form and the paths of unknown fields that it had ("spec.foo").

        The result may share parts with `obj`.

        Raises:
            K3pyError: a value of the wrong type; the text is Go's sentence.
        """

    def default(self, kind: Kind, obj: JsonObject) -> None:
        """Fill in defaults in place, those of the kind's strategy too."""

    def settle(self, kind: Kind, obj: JsonObject) -> None:
        """Turn empty lists, which decoding kept because who writes them owns the field, into null, in place."""

    def complete(self, kind: Kind, obj: JsonObject) -> None:
        """Put empty parts that are always shown ("status": {}) back into an object that a strategy took them out of."""


class Patches(Protocol):
    """The four ways to patch; they return a new document and leave `live` alone.

    Raises (all methods):
        ApiError: the patch cannot be applied.
    """

    def apply_json(self, live: JsonObject, patch: JsonValue) -> JsonObject:
        """RFC 6902."""

    def apply_merge(self, live: JsonObject, patch: JsonValue) -> JsonObject:
        """RFC 7386."""

    def apply_strategic(self, kind: Kind, live: JsonObject, patch: JsonValue) -> JsonObject:
        """Strategic merge, by the kind's merge keys."""

    def apply_configuration(
        self,
        kind: Kind,
        live: JsonObject | None,
        patch: JsonValue,
        *,
        manager: str,
        force: bool,
        subresource: str,
        now: str,
    ) -> JsonObject:
        """Server-side apply; `live` None = the object does not exist."""

    def track(
        self,
        kind: Kind,
        old: JsonObject | None,
        new: JsonObject,
        *,
        manager: str,
        subresource: str,
        now: str,
    ) -> None:
        """Set `new`'s metadata.managedFields for an update from `old` (None: created) by `manager`."""


class Admission(Protocol):
    """The chain of admission plugins."""

    async def admit(self, request: AdmissionRequest) -> None:
        """Let all plugins mutate `request.obj`. Raises ApiError to refuse."""

    async def validate(self, request: AdmissionRequest) -> None:
        """Let all plugins look at the final object. Raises ApiError to refuse."""


class Reservation(Protocol):
    """Something taken for an object that is about to be written."""

    async def commit(self) -> None:
        """The object is written: release what the old one had and the new one has not."""

    async def roll_back(self) -> None:
        """The object is not written: release what was taken."""


class WriteGuard(Protocol):
    """Refuses writes for reasons that need more than the objects: who asks, what else there is."""

    async def check(self, call: Call, new: JsonObject, old: JsonObject | None) -> None:
        """Look at an admitted object before it is validated; `old` None = a create. Raises ApiError."""


class WriteHook(Protocol):
    """Takes cluster-wide things (addresses, ports) for objects of a kind, and writes them into the object."""

    async def begin_create(self, obj: JsonObject, *, dry_run: bool) -> Reservation:
        """Reserve for a new object. Raises ApiError."""

    async def begin_update(self, new: JsonObject, old: JsonObject, *, dry_run: bool) -> Reservation:
        """Reserve for the changes from `old`. Raises ApiError."""

    async def after_delete(self, obj: JsonObject) -> None:
        """Release what a deleted object had."""


class TokenSigner(Protocol):
    """Makes service-account tokens."""

    @property
    def issuer(self) -> str:
        """The `iss` of tokens."""

    def sign(self, claims: JsonObject) -> str:
        """Return a signed JWT."""


class TokenVerifier(Protocol):
    """Checks service-account tokens."""

    @property
    def issuer(self) -> str:
        """The `iss` of tokens."""

    def verify(self, token: str, *, audiences: Sequence[str]) -> JsonObject:
        """Return the claims. Raises K3pyError: not ours, expired or for another audience."""

    def is_ours(self, token: str) -> bool:
        """Say whether the token names our issuer."""
