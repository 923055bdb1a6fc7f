"""An in-memory `Client` and `InformerFactory` for unit tests of controllers, scheduler and kubelet.

What it keeps of the API: resourceVersion conflicts (409), uid preconditions, generateName, generation, status as a subresource, finalizers and
deletionTimestamp, no-op updates, watches with selectors, read-only objects (a changed one fails the test at the next access).
What it leaves out: admission, validation, defaults, authorization. `tests/contract/test_client.py` runs on it too.

Usage:
    client = FakeClient()
    client.seed(PODS, {"metadata": {"name": "web", "namespace": "default"}, "spec": {...}})   # status is kept
    informers = FakeInformerFactory(client)
    ...
    client.fail("create", PODS, ApiError(500, ...), times=1)     # the next create of a pod fails
    informers.pause() / informers.resume()                        # let informers lag behind
Set `graceful_pods=True` and a deleted pod that has a node stays with its deletionTimestamp until it is deleted with grace 0.
"""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from k3py.api import status
from k3py.api.object import deep_copy
from k3py.api.selectors import (
    EVERYTHING,
    FieldSelector,
    parse_field_selector,
    parse_label_selector,
    selector_from_object,
)
from k3py.client.errors import Unreachable
from k3py.client.informer import SharedInformer, identity, key_of_document, version_of_document
from k3py.client.interface import ObjectList, PatchType, WatchEvent
from k3py.util import clock
from tests.support.fake_patch import apply_json_patch, merge, strategic_merge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from k3py.api.resource import Resource
    from k3py.api.selectors import LabelSelector
    from k3py.client.interface import Client, Informer, InformerFactory
    from k3py.jsontypes import JsonObject, JsonValue

STATUS_FROM_CREATE = ("nodes",)  # their status is not reset when they are created
NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

Key = tuple[str, str]
Table = tuple[str, str]
Change = tuple[Table, "JsonObject | None", "JsonObject | None"]  # old, new


class FakeClient:
    """See the module's docstring."""

    def __init__(self, *, graceful_pods: bool = False) -> None:
        self._objects: dict[Table, dict[Key, JsonObject]] = {}
        self._bytes: dict[int, tuple[JsonObject, bytes]] = {}
        self._revision = 0
        self._watchers: list[Callable[[Table, JsonObject | None, JsonObject | None], None]] = []
        self._failures: dict[tuple[str, Table], list[status.ApiError]] = {}
        self._history: list[tuple[int, Change]] = []
        self._random = random.Random(1)
        self.graceful_pods = graceful_pods
        self.away = False  # every request is Unreachable; watches that are open stay silent
        self.actions: list[tuple[str, str, str]] = []  # (verb, plural[/subresource], namespace/name)

    # --- for tests -------------------------------------------------------------------------------------------------

    def seed(self, resource: Resource, obj: JsonObject) -> JsonObject:
        """Put an object there as it is, status included; metadata and kind are completed. Returns the stored one."""
        new = deep_copy(obj)
        self._complete(resource, new)
        table = _table(resource)
        old = self._objects.get(table, {}).get(key_of_document(new))
        return self._commit(table, old, new)

    def remove(self, resource: Resource, name: str, namespace: str = "") -> None:
        """Take an object away at once, whatever its finalizers."""
        table = _table(resource)
        self._commit(table, self._find(resource, namespace, name), None)

    def objects(self, resource: Resource, namespace: str = "") -> list[JsonObject]:
        """Return what is stored, by namespace and name."""
        table = self._objects.get(_table(resource), {})
        return [self._checked(obj) for key, obj in sorted(table.items()) if namespace in ("", key[0])]

    def fail(self, verb: str, resource: Resource, error: status.ApiError, *, times: int = 1) -> None:
        """Let the next `times` requests of `verb` on `resource` raise `error`."""
        self._failures.setdefault((verb, _table(resource)), []).extend([error] * times)

    def check_untouched(self) -> None:
        """Fail if any object that was handed out was changed by its receiver."""
        for obj, data in self._bytes.values():
            assert orjson.dumps(obj) == data, f"read-only object was changed: {obj['metadata']['name']}"

    # --- Client ----------------------------------------------------------------------------------------------------

    async def get(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        subresource: str = "",
        options: Mapping[str, str] | None = None,
    ) -> JsonObject:
        self._note("get", resource, namespace, name, subresource)
        obj = self._find(resource, namespace, name)
        if subresource == "scale":
            return _scale_of(obj)
        return self._checked(obj)

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        self._note("list", resource, namespace, "", "")
        accept = _filter(namespace, label_selector, field_selector)
        items = [obj for obj in self.objects(resource) if accept(obj)]
        return ObjectList(items, str(self._revision))

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        return self._watch(
            resource, _filter(namespace, label_selector, field_selector), int(resource_version or 0)
        )

    async def create(
        self,
        resource: Resource,
        obj: JsonObject,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> JsonObject:
        if subresource:
            self._note("create", resource, namespace, name, subresource)
            return self._create_subresource(resource, namespace, name, subresource, obj)
        new = deep_copy(obj)
        metadata = new.setdefault("metadata", {})
        if resource.namespaced and namespace:
            metadata.setdefault("namespace", namespace)
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                raise status.ApiError(422, "Invalid", "metadata.name: Required value")
            metadata["name"] = metadata["generateName"][:58] + "".join(
                self._random.choices(NAME_ALPHABET, k=5)
            )
        self._note("create", resource, metadata.get("namespace", ""), metadata["name"], "")
        metadata.pop("resourceVersion", None)
        for field in ("uid", "creationTimestamp", "deletionTimestamp", "generation"):
            metadata.pop(field, None)
        if resource.plural not in STATUS_FROM_CREATE and "spec" in new:
            new.pop("status", None)
        self._complete(resource, new)
        table = _table(resource)
        if key_of_document(new) in self._objects.get(table, {}):
            raise status.already_exists(resource.group, resource.plural, metadata["name"])
        return self._commit(table, None, new)

    async def update(self, resource: Resource, obj: JsonObject, *, subresource: str = "") -> JsonObject:
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        self._note("update", resource, namespace, name, subresource)
        old = self._find(resource, namespace, name)
        new: JsonObject = deep_copy(obj)
        if subresource == "scale":
            replicas = new["spec"].get("replicas", 0)
            new = deep_copy(old)
            new["spec"]["replicas"] = replicas
            return _scale_of(self._replace(resource, old, new, ""))
        return self._replace(resource, old, new, subresource)

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
        self._note("patch", resource, namespace, name, subresource)
        if patch_type is PatchType.APPLY and (namespace, name) not in self._objects.get(_table(resource), {}):
            new = deep_copy(patch)
            self._complete(resource, new)
            return self._commit(_table(resource), None, new)
        old = self._find(resource, namespace, name)
        target = _scale_of(old) if subresource == "scale" else old
        match patch_type:
            case PatchType.JSON:
                new = apply_json_patch(target, patch)
            case PatchType.MERGE:
                new = merge(target, patch)
            case _:
                new = strategic_merge(target, patch)
        if subresource == "scale":
            replicas = new["spec"].get("replicas", 0)
            new = deep_copy(old)
            new["spec"]["replicas"] = replicas
            return _scale_of(self._replace(resource, old, new, ""))
        return self._replace(resource, old, new, subresource)

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
        self._note("delete", resource, namespace, name, "")
        old = self._find(resource, namespace, name)
        if (uid and uid != old["metadata"]["uid"]) or (
            resource_version and resource_version != old["metadata"]["resourceVersion"]
        ):
            raise status.conflict(resource.group, resource.plural, name, "Precondition failed")
        new = deep_copy(old)
        metadata = new["metadata"]
        extra = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation_policy)
        if extra and extra not in metadata.get("finalizers", ()):
            metadata.setdefault("finalizers", []).append(extra)
        grace = 0
        if self.graceful_pods and resource.plural == "pods" and old.get("spec", {}).get("nodeName"):
            grace = 30 if grace_period_s is None else grace_period_s
            if grace_period_s is None:
                grace = old["spec"].get("terminationGracePeriodSeconds", 30)
        namespace_finalizers = (
            new.get("spec", {}).get("finalizers") if resource.plural == "namespaces" else None
        )
        if grace <= 0 and not metadata.get("finalizers") and not namespace_finalizers:
            self._commit(_table(resource), old, None)
            return
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = _now()
            if "generation" in metadata:
                metadata["generation"] += 1
        metadata["deletionGracePeriodSeconds"] = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
        if resource.plural == "namespaces":
            new.setdefault("status", {})["phase"] = "Terminating"
        if not _same(old, new):
            self._commit(_table(resource), old, new)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _create_subresource(
        self, resource: Resource, namespace: str, name: str, subresource: str, body: JsonObject
    ) -> JsonObject:
        old = self._find(resource, namespace, name)
        match subresource:
            case "binding":
                if old["spec"].get("nodeName"):
                    raise status.conflict(
                        resource.group, "pods/binding", name, "pod is already assigned to a node"
                    )
                new = deep_copy(old)
                new["spec"]["nodeName"] = body["target"]["name"]
                conditions = new.setdefault("status", {}).setdefault("conditions", [])
                conditions[:] = [one for one in conditions if one["type"] != "PodScheduled"]
                conditions.append({"type": "PodScheduled", "status": "True"})
                self._commit(_table(resource), old, new)
                return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            case "eviction":
                self._commit(_table(resource), old, None)
                return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            case "token":
                return {**body, "status": {"token": f"fake.{name}.token", "expirationTimestamp": _now(3600)}}
        raise status.ApiError(405, "MethodNotAllowed", f"fake: create of {resource.plural}/{subresource}")

    def _replace(self, resource: Resource, old: JsonObject, new: JsonObject, subresource: str) -> JsonObject:
        metadata, before = new["metadata"], old["metadata"]
        if metadata.get("uid") and metadata["uid"] != before["uid"]:
            raise status.conflict(resource.group, resource.plural, before["name"], "Precondition failed: UID")
        if metadata.get("resourceVersion") and metadata["resourceVersion"] != before["resourceVersion"]:
            raise status.conflict(
                resource.group,
                resource.plural,
                before["name"],
                "the object has been modified; please apply your changes to the latest version and try again",
            )
        if subresource in ("status", "approval"):
            content = new.get("status")
            new = deep_copy(old)
            new["metadata"]["annotations"] = metadata.get("annotations", {})
            if not new["metadata"]["annotations"]:
                del new["metadata"]["annotations"]
            if content is not None:
                new["status"] = content
        elif "spec" in old or "spec" in new:
            if "status" in old:
                new["status"] = deep_copy(old["status"])
            else:
                new.pop("status", None)
        metadata = new["metadata"]
        for field in (
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "resourceVersion",
        ):
            metadata.pop(field, None)
            if field in before:
                metadata[field] = before[field]
        new.setdefault("kind", old["kind"])
        new.setdefault("apiVersion", old["apiVersion"])
        if not metadata.get("finalizers"):
            metadata.pop("finalizers", None)
        if _same(old, new):
            return self._checked(old)
        outside = ("kind", "apiVersion", "metadata", "status")
        if "generation" in before and {k: v for k, v in new.items() if k not in outside} != {
            k: v for k, v in old.items() if k not in outside
        }:
            metadata["generation"] += 1
        gone = (
            "deletionTimestamp" in metadata
            and not metadata.get("finalizers")
            and not (self.graceful_pods and resource.plural == "pods")
            and not (resource.plural == "namespaces" and new.get("spec", {}).get("finalizers"))
        )
        if gone:
            return self._commit(_table(resource), old, None)
        return self._commit(_table(resource), old, new)

    def _complete(self, resource: Resource, obj: JsonObject) -> None:
        obj.setdefault("kind", resource.kind)
        obj.setdefault("apiVersion", resource.api_version)
        metadata = obj["metadata"]
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        metadata.setdefault("uid", f"uid-{resource.plural}-{metadata['name']}-{self._revision + 1}")
        metadata.setdefault("creationTimestamp", _now())
        if "spec" in obj and resource.plural != "namespaces":
            metadata.setdefault("generation", 1)

    def _commit(self, table: Table, old: JsonObject | None, new: JsonObject | None) -> JsonObject:
        self._revision += 1
        if new is None:
            assert old is not None
            last: JsonObject = deep_copy(old)
            last["metadata"]["resourceVersion"] = str(self._revision)
            del self._objects[table][key_of_document(last)]
            result = last
        else:
            new["metadata"]["resourceVersion"] = str(self._revision)
            self._objects.setdefault(table, {})[key_of_document(new)] = new
            result = new
        self._bytes[id(result)] = (result, orjson.dumps(result))
        before = result if new is None else old
        self._history.append((self._revision, (table, before, new)))
        for watcher in tuple(self._watchers):
            watcher(table, before, new)
        return result

    def _checked(self, obj: JsonObject) -> JsonObject:
        known = self._bytes.get(id(obj))
        assert known is None or orjson.dumps(obj) == known[1], "read-only object was changed"
        return obj

    def _find(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        obj = self._objects.get(_table(resource), {}).get((namespace if resource.namespaced else "", name))
        if obj is None:
            raise status.not_found(resource.group, resource.plural, name)
        return self._checked(obj)

    def _note(self, verb: str, resource: Resource, namespace: str, name: str, subresource: str) -> None:
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        self.actions.append((verb, what, f"{namespace}/{name}" if namespace else name))
        if self.away:
            raise Unreachable("the server is away")
        failures = self._failures.get((verb, _table(resource)))
        if failures:
            raise failures.pop(0)

    @asynccontextmanager
    async def _watch(
        self, resource: Resource, accept: Callable[[JsonObject], bool], after: int
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        self._note("watch", resource, "", "", "")
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        wanted = _table(resource)

        def deliver(table: Table, old: JsonObject | None, new: JsonObject | None) -> None:
            if table != wanted:
                return
            event = _transition(accept, old, new)
            if event is not None:
                queue.put_nowait(event)

        if after == 0:
            for obj in self.objects(resource):
                if accept(obj):
                    queue.put_nowait(WatchEvent("ADDED", obj))
        else:
            for revision, (table, old, new) in self._history:
                if revision > after:
                    deliver(table, old, new)
        self._watchers.append(deliver)

        async def events() -> AsyncIterator[WatchEvent]:
            while True:
                yield await queue.get()

        try:
            yield events()
        finally:
            self._watchers.remove(deliver)

    def subscribe(self, watcher: Callable[[Table, JsonObject | None, JsonObject | None], None]) -> None:
        """Call `watcher(table, old, new)` for every write (informers use it)."""
        self._watchers.append(watcher)


class FakeInformerFactory:
    """Informers that learn of every write of a FakeClient at once (before the write returns), unless paused."""

    def __init__(self, client: FakeClient) -> None:
        self._client = client
        self._informers: dict[tuple[Table, str, str], SharedInformer[JsonObject]] = {}
        self._backlog: list[Callable[[], None]] | None = None
        client.subscribe(self._on_write)

    @property
    def client(self) -> Client:
        return self._client

    def informer(self, resource: Resource, *, namespace: str = "", field_selector: str = "") -> Informer:
        key = (_table(resource), namespace, field_selector)
        informer = self._informers.get(key)
        if informer is None:
            informer = SharedInformer(identity, version_of_document)
            accept = _filter(namespace, "", field_selector)
            informer.replace(
                {key_of_document(obj): obj for obj in self._client.objects(resource) if accept(obj)}
            )
            self._informers[key] = informer
        return informer

    def drop(self, resource: Resource) -> None:
        for key in [key for key in self._informers if key[0] == _table(resource)]:
            self._informers.pop(key).forget()

    async def run(self, started: Callable[[], None]) -> None:
        """For code that runs its factory as a component: there is nothing to do."""
        started()
        await asyncio.Event().wait()

    def pause(self) -> None:
        """Let informers see nothing until `resume`: tests of stale caches."""
        self._backlog = []

    def resume(self) -> None:
        """Deliver what was held back, in order."""
        backlog, self._backlog = self._backlog or [], None
        for deliver in backlog:
            deliver()

    def _on_write(self, table: Table, old: JsonObject | None, new: JsonObject | None) -> None:
        if self._backlog is not None:
            self._backlog.append(lambda: self._deliver(table, old, new))
        else:
            self._deliver(table, old, new)

    def _deliver(self, table: Table, old: JsonObject | None, new: JsonObject | None) -> None:
        for (wanted, namespace, field_selector), informer in tuple(self._informers.items()):
            if wanted != table:
                continue
            event = _transition(_filter(namespace, "", field_selector), old, new)
            if event is None:
                continue
            if event.type == "DELETED":
                informer.delete(key_of_document(event.object), event.object)
            else:
                informer.put(key_of_document(event.object), event.object)


def _transition(
    accept: Callable[[JsonObject], bool], old: JsonObject | None, new: JsonObject | None
) -> WatchEvent | None:
    was = old is not None and accept(old)
    now = new is not None and accept(new)
    if new is not None and now:
        return WatchEvent("MODIFIED" if was else "ADDED", new)
    if old is not None and was:
        last = old
        if new is not None:
            last = deep_copy(old)
            last["metadata"]["resourceVersion"] = new["metadata"]["resourceVersion"]
        return WatchEvent("DELETED", last)
    return None


def _filter(namespace: str, labels: str, fields: str) -> Callable[[JsonObject], bool]:
    label_selector: LabelSelector = parse_label_selector(labels) if labels else EVERYTHING
    field_selector: FieldSelector = parse_field_selector(fields) if fields else FieldSelector()

    def accept(obj: JsonObject) -> bool:
        metadata = obj["metadata"]
        if namespace and metadata.get("namespace") != namespace:
            return False
        if not label_selector.matches(metadata.get("labels") or {}):
            return False
        return all((_field(obj, term.field) == term.value) is term.equal for term in field_selector.terms)

    return accept


def _field(obj: JsonObject, path: str) -> str:
    value: Any = obj
    for part in re.split(r"\.", path):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _table(resource: Resource) -> Table:
    return resource.group, resource.plural


def _scale_of(obj: JsonObject) -> JsonObject:
    metadata = obj["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            k: metadata[k] for k in ("name", "namespace", "uid", "resourceVersion") if k in metadata
        },
        "spec": {"replicas": obj.get("spec", {}).get("replicas", 0)},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            "selector": str(selector_from_object(obj.get("spec", {}).get("selector"))),
        },
    }


def _same(old: JsonObject, new: JsonObject) -> bool:
    return orjson.dumps(old, option=orjson.OPT_SORT_KEYS) == orjson.dumps(new, option=orjson.OPT_SORT_KEYS)


def _now(offset_s: int = 0) -> str:
    from datetime import timedelta

    return (clock.now() + timedelta(seconds=offset_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


if TYPE_CHECKING:
    _CLIENT: Client = FakeClient()
    _FACTORY: InformerFactory = FakeInformerFactory(FakeClient())
