"""The seam `Client`: the Kubernetes API for controllers, scheduler and kubelet, wherever the API server is.

Everybody pays the same rules (ARCHITECTURE §1.3): a client carries a user and passes authorization, admission and validation.
Objects that a client or lister returns may be shared: they are READ-ONLY; `k3py.api.object.deep_copy` makes one's own.
Every method raises ApiError (k3py.api.status) as the API answers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.resource import Resource
    from k3py.jsontypes import JsonObject, JsonValue


class PatchType(Enum):
    """Content types of PATCH bodies."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A consistent list and the resourceVersion to watch from."""

    items: Sequence[JsonObject]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """type: "ADDED", "MODIFIED", "DELETED" or "BOOKMARK"; errors are raised as ApiError, not delivered."""

    type: str
    object: JsonObject


class Client(Protocol):
    """Verbs of the API; `subresource` addresses status, scale, binding, eviction, token and the like."""

    async def get(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        subresource: str = "",
        options: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Return an object, `options` being query parameters; raises ApiError 404."""

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        """Return all matching objects (pages are followed)."""

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Follow changes behind `resource_version` (with bookmarks); ends when the server ends it; ApiError 410: list again."""

    async def create(
        self,
        resource: Resource,
        obj: JsonObject,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> JsonObject:
        """Create an object, or POST to the subresource of `name`."""

    async def update(self, resource: Resource, obj: JsonObject, *, subresource: str = "") -> JsonObject:
        """Replace an object; its metadata.resourceVersion is the precondition."""

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: JsonValue,
        *,
        patch_type: PatchType = PatchType.STRATEGIC,
        namespace: str = "",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> JsonObject:
        """Patch an object."""

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        grace_period_s: int | None = None,
        propagation_policy: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Delete an object, if uid and resourceVersion (when given) still match (else ApiError 409)."""


class Lister(Protocol):
    """A read-only view of what an informer knows; may be stale by one watch delay."""

    def find(self, namespace: str, name: str) -> JsonObject | None:
        """Return the object, if known."""

    def list(self, namespace: str = "") -> Sequence[JsonObject]:
        """Return all objects, or those of a namespace."""

    def by_index(self, index: str, value: str) -> Sequence[JsonObject]:
        """Return the objects for which the index function gave `value`."""


class Informer(Protocol):
    """Keeps a lister fresh and tells handlers, in order: add(new), update(old, new), delete(last).

    Handlers run in the loop and must only enqueue keys. `old` may be None when the implementation did not keep it.
    """

    @property
    def lister(self) -> Lister:
        """The view; complete once `wait_synced` returned."""

    def add_handler(self, handler: Callable[[JsonObject | None, JsonObject | None], None]) -> None:
        """Call `handler(old, new)`: (None, obj) = added, (old, obj) = changed, (obj, None) = deleted."""

    def add_index(self, index: str, key_of: Callable[[JsonObject], Sequence[str]]) -> None:
        """Index objects by the values of `key_of`; before the informer runs."""

    async def wait_synced(self) -> None:
        """Return once the first complete list was delivered."""

    def forget(self) -> None:
        """Nothing more comes: let go of what was known, without telling."""


class InformerFactory(Protocol):
    """Shared informers of one process; the local one reads the watch cache in place."""

    @property
    def client(self) -> Client:
        """The client that the informers use."""

    def informer(self, resource: Resource, *, namespace: str = "", field_selector: str = "") -> Informer:
        """Return the shared informer for a resource (the same object for the same arguments)."""

    def drop(self, resource: Resource) -> None:
        """Forget the informers of a resource that is served no longer; what is on its way is still delivered."""
