"""Empties a namespace that is being deleted, pods first, and then lets it go.

Source: kubernetes/pkg/controller/namespace/deletion v1.35 (ordered deletion, conditions).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import NAMESPACES, PODS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.api.resource import Resource
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_FINALIZER: Final = "kubernetes"
_RETRY_S: Final = 2.0


@dataclass(slots=True)
class Remains:
    """What is still in a namespace after a round: objects per "plural.group", finalizers, failures, versions of servers that are away."""

    counts: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    pods: bool = False
    """Pods are left, for which all else waits; as upstream's, the conditions count what is left once they are gone."""


def plan_conditions(old: Sequence[JsonObject], remains: Remains, stamp: str) -> list[JsonObject]:
    """Return the deletion conditions of a namespace, keeping transition times of those that stay."""
    left = ", ".join(
        f"{name} has {count} resource instances" for name, count in sorted(remains.counts.items())
    )
    held = ", ".join(
        f"{name} in {count} resource instances" for name, count in sorted(remains.finalizers.items())
    )
    wanted = [
        (
            "NamespaceDeletionDiscoveryFailure",
            "True" if remains.unknown else "False",
            "DiscoveryFailed" if remains.unknown else "ResourcesDiscovered",
            _tell_unknown(remains.unknown) if remains.unknown else "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            "True" if remains.failures else "False",
            "ContentDeletionFailed" if remains.failures else "ContentDeleted",
            f"Failed to delete all resource types, {len(remains.failures)} remaining: {', '.join(remains.failures)}"
            if remains.failures
            else "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            "True" if left else "False",
            "SomeResourcesRemain" if left else "ContentRemoved",
            f"Some resources are remaining: {left}" if left else "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining",
            "True" if held else "False",
            "SomeFinalizersRemain" if held else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {held}"
            if held
            else "All content-preserving finalizers finished",
        ),
    ]
    by_type = {one["type"]: one for one in old}
    for kind, value, reason, message in wanted:
        known = by_type.get(kind)
        if known is not None and (known["status"], known["reason"], known["message"]) == (
            value,
            reason,
            message,
        ):
            continue
        by_type[kind] = {
            "type": kind,
            "status": value,
            "lastTransitionTime": known["lastTransitionTime"]
            if known and known["status"] == value
            else stamp,
            "reason": reason,
            "message": message,
        }
    return list(by_type.values())


def _tell_unknown(versions: Sequence[str]) -> str:
    stale = ", ".join(f"{one}: stale GroupVersion discovery: {one}" for one in sorted(versions))
    return (
        f"Discovery failed for some groups, {len(versions)} failing: "
        f"unable to retrieve the complete list of server APIs: {stale}"
    )


class NamespaceController:
    """See the module."""

    name = "namespace-controller"
    workers = 10

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._kinds = context.kinds
        namespaces = context.informers.informer(NAMESPACES)
        pods = context.informers.informer(PODS)
        self._namespaces = namespaces.lister
        self.watches = (Watch(namespaces, self._keys_of_namespace), Watch(pods, self._keys_of_pod))

    @staticmethod
    def _keys_of_namespace(_old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        deleting = new is not None and "deletionTimestamp" in new["metadata"]
        return (new["metadata"]["name"],) if deleting and new is not None else ()

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is not None or old is None:
            return ()
        return self._keys_of_namespace(None, self._namespaces.find("", old["metadata"]["namespace"]))

    async def reconcile(self, key: str) -> float | None:
        """Delete what is left in the namespace; when nothing is, remove the finalizer "kubernetes"."""
        namespace = self._namespaces.find("", key)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return None
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if _FINALIZER not in finalizers:
            return None
        remains = await self._empty(key)
        await self._tell(namespace, remains)
        if remains.pods or remains.counts or remains.failures or remains.unknown:
            return _RETRY_S
        live = await self._client.get(NAMESPACES, key)
        changed = deep_copy(live)
        changed["spec"]["finalizers"] = [one for one in finalizers if one != _FINALIZER]
        await self._client.update(NAMESPACES, changed, subresource="finalize")
        return None

    async def _empty(self, namespace: str) -> Remains:
        remains = Remains()
        await self._delete_all(PODS, namespace, remains)
        if remains.counts:
            return Remains(failures=remains.failures, pods=True)
        if remains.failures:
            return remains
        for kind in self._kinds.list_stores():
            resource = kind.resource
            wanted = {"list", "delete"} <= set(kind.verbs)
            if kind.namespaced and wanted and resource != PODS:
                await self._delete_all(resource, namespace, remains)
        for foreign in self._kinds.list_foreign():
            if not foreign.available:  # it may keep objects of the namespace
                remains.unknown.append(f"{foreign.group}/{foreign.version}")
                continue
            for resource, verbs in foreign.resources:
                if resource.namespaced and {"list", "delete"} <= verbs:
                    await self._delete_all(resource, namespace, remains)
        return remains

    async def _delete_all(self, resource: Resource, namespace: str, remains: Remains) -> None:
        label = f"{resource.plural}.{resource.group}" if resource.group else f"{resource.plural}."
        try:
            found = await self._client.list(resource, namespace=namespace)
            for one in found.items:
                if "deletionTimestamp" not in one["metadata"]:
                    await self._delete_one(resource, namespace, one["metadata"]["name"])
            if found.items:
                found = await self._client.list(resource, namespace=namespace)
        except ApiError as error:
            if error.code not in (404, 405):
                remains.failures.append(f"{label}: {error.message}")
            return
        if found.items:
            remains.counts[label] += len(found.items)
        for one in found.items:
            remains.finalizers.update(one["metadata"].get("finalizers") or ())

    async def _delete_one(self, resource: Resource, namespace: str, name: str) -> None:
        try:
            await self._client.delete(resource, name, namespace=namespace, propagation_policy="Background")
        except ApiError as error:
            if error.code != 404:
                raise

    async def _tell(self, namespace: JsonObject, remains: Remains) -> None:
        status = namespace.get("status") or {}
        conditions = plan_conditions(status.get("conditions") or [], remains, format_time(clock.now()))
        if conditions == status.get("conditions"):
            return
        changed = {**namespace, "status": {**status, "phase": "Terminating", "conditions": conditions}}
        try:
            await self._client.update(NAMESPACES, changed, subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):  # told again in the next round
                raise


def build(context: ControllerContext) -> NamespaceController:
    """Make the controller."""
    return NamespaceController(context)
