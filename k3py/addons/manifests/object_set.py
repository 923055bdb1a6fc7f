"""Applies the objects of a file by server-side apply, and deletes those that are in it no longer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from k3py.addons.definitions import wait_until
from k3py.addons.manifests.addon import HASH, owner_marks
from k3py.api.object import deep_copy
from k3py.api.status import ApiError
from k3py.client.interface import PatchType
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.api.registry import KindRegistry
    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

MANAGER: Final = "k3py-manifests"
_FIRST: Final = ("CustomResourceDefinition", "Namespace")
_NEW_KIND_S: Final = 10.0

Identity = tuple[str, str, str, str]
"""apiVersion, kind, namespace ("" = none) and name."""


class ApplyFailed(K3pyError):
    """Some objects could not be applied or deleted; names them."""


class ObjectSets:
    """Sets of objects, each known by the name of its Addon."""

    def __init__(self, client: Client, kinds: KindRegistry) -> None:
        self._client = client
        self._kinds = kinds

    async def apply(self, name: str, objects: Sequence[JsonObject]) -> set[Identity]:
        """Apply all objects that can be applied, definitions and namespaces first; return who they are.

        Raises:
            ApplyFailed: some could not; the others are.
        """
        faults: list[str] = []
        done: set[Identity] = set()
        made = {
            (one["spec"].get("group"), (one["spec"].get("names") or {}).get("kind"))
            for one in objects
            if one["kind"] == "CustomResourceDefinition" and isinstance(one.get("spec"), dict)
        }
        for obj in sorted(objects, key=lambda one: one["kind"] not in _FIRST):
            kind = obj["kind"]
            try:
                is_new = (obj["apiVersion"].rpartition("/")[0], kind) in made
                resource = await self._resource(obj["apiVersion"], kind, wait=is_new)
                done.add(await self._apply_one(name, obj, resource))
            except ApiError as error:
                faults.append(f"{kind} {obj['metadata']['name']}: {error.message}")
        if faults:
            raise ApplyFailed("; ".join(faults))
        return done

    async def _apply_one(self, name: str, obj: JsonObject, resource: Resource) -> Identity:
        wanted = deep_copy(obj)
        metadata = wanted["metadata"]
        for field in ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"):
            metadata.pop(field, None)
        wanted.pop("status", None)
        namespace = (metadata.get("namespace") or "default") if resource.namespaced else ""
        if namespace:
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        labels, annotations = owner_marks(name)
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
        await self._client.patch(
            resource,
            metadata["name"],
            wanted,
            namespace=namespace,
            patch_type=PatchType.APPLY,
            field_manager=MANAGER,
            force=True,
        )
        return resource.api_version, resource.kind, namespace, metadata["name"]

    async def prune(self, name: str, gvks: Iterable[tuple[str, str]], keep: set[Identity]) -> None:
        """Delete what this Addon made of these kinds (apiVersion, kind), but for `keep`.

        Raises:
            ApplyFailed: something could not be deleted.
        """
        labels, _ = owner_marks(name)
        selector = f"{HASH}={labels[HASH]}"
        # An object is the same in all versions of its group.
        kept = {(api_version.rpartition("/")[0], kind, *rest) for api_version, kind, *rest in keep}
        faults: list[str] = []
        for api_version, kind in sorted(gvks):
            try:
                resource = await self._resource(api_version, kind)
                found = await self._client.list(resource, label_selector=selector)
            except ApiError as error:
                if error.code != 404:  # a kind that is gone took its objects along
                    faults.append(f"{kind}: {error.message}")
                continue
            for obj in found.items:
                metadata = obj["metadata"]
                if (resource.group, kind, metadata.get("namespace", ""), metadata["name"]) in kept:
                    continue
                try:
                    await self._client.delete(
                        resource,
                        metadata["name"],
                        namespace=metadata.get("namespace", ""),
                        propagation_policy="Background",
                        uid=metadata["uid"],
                    )
                except ApiError as error:
                    if error.code != 404:
                        faults.append(f"{kind} {metadata['name']}: {error.message}")
        if faults:
            raise ApplyFailed("; ".join(faults))

    async def _resource(self, api_version: str, kind: str, *, wait: bool = False) -> Resource:
        """Return where objects of a kind are; `wait` for one that is just being defined. Raises ApiError 404."""
        found = self._find(api_version, kind)
        if found is None and wait:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_NEW_KIND_S):
                    await wait_until(self._kinds, lambda: self._find(api_version, kind))
            found = self._find(api_version, kind)
        if found is None:
            raise ApiError(404, "NotFound", f'no matches for kind "{kind}" in version "{api_version}"')
        return found

    def _find(self, api_version: str, kind: str) -> Resource | None:
        known = self._kinds.find_by_kind(api_version, kind)
        if known is not None:
            return known.resource
        return next(
            (
                resource
                for foreign in self._kinds.list_foreign()
                for resource, _ in foreign.resources
                if (resource.api_version, resource.kind) == (api_version, kind) and "/" not in resource.plural
            ),
            None,
        )
