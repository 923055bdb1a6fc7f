"""Follows CustomResourceDefinitions: accepts their names, serves their kinds, empties and drops what is deleted.

Everything happens in the order of the watch, one definition after the other; only emptying, which waits for finalizers, has a task of
its own. Source: k8s.io/apiextensions-apiserver/pkg/{apiserver/customresource_handler,controller/finalizer}.go v0.35.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.conditions import set_condition
from k3py.api.object import deep_copy
from k3py.api.resource import Resource
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.apiserver.crd.kinds import CustomKinds, build_kinds
from k3py.apiserver.crd.names import plan_status
from k3py.apiserver.follower import Follower
from k3py.apiserver.interface import ApiRequest
from k3py.storage.errors import ObjectNotFound, RevisionExpired, StorageError
from k3py.storage.interface import ListQuery, WatchQuery
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import aiohttp

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.crd.kinds import Converter
    from k3py.apiserver.interface import Dispatcher, Egress
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Storage, Store

log = logging.getLogger(__name__)

DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
_USER: Final = User(name="system:apiserver", groups=(MASTERS, AUTHENTICATED))


@dataclass(frozen=True, slots=True)
class _Served:
    """What is served of a definition; `form` is compared to see whether it still is what the definition says."""

    uid: str
    form: bytes
    deleting: bool
    kinds: CustomKinds


class CustomResources:
    """Keeps the registry's custom kinds as the definitions say.

    Args:
        dispatcher: the front door.
        storage: where objects lie.
        kinds: the registry that gains and loses kinds.
        kind: of the definitions themselves.
        now: the wall clock.
        egress: the way out to conversion webhooks, None = straight.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        storage: Storage,
        kinds: KindRegistry,
        kind: Kind,
        now: Callable[[], datetime],
        egress: Egress | None = None,
    ) -> None:
        self._egress = egress
        self._dispatcher = dispatcher
        self._storage = storage
        self._kinds = kinds
        self._kind = kind
        self._now = now
        self._follower = Follower(storage, kind, self._on_change)
        self._definitions: dict[str, JsonObject] = {}
        self._served: dict[str, _Served] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self._emptying: set[str] = set()
        self._http: aiohttp.ClientSession | None = None

    async def run(self, ready: Callable[[], None]) -> None:
        """Follow until cancelled; `ready` is called once all present definitions are served. Raises StorageError."""
        try:
            await self._run(ready)
        finally:
            if self._http is not None:
                await self._http.close()
                self._http = None

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            from k3py.apiserver.service_session import open_service_session  # noqa: PLC0415 - few have webhooks

            self._http = open_service_session(self._storage, self._kinds, self._egress)
        return self._http

    async def _run(self, ready: Callable[[], None]) -> None:
        followed = asyncio.Event()
        async with TaskScope() as scope:
            _ = scope.spawn(self._follower.run(followed.set), name="follow-definitions")
            await followed.wait()
            while not self._changed.empty():
                await self._settle(self._changed.get_nowait(), scope)
            ready()
            while True:
                await self._settle(await self._changed.get(), scope)

    def _on_change(self, key: tuple[str, str], obj: JsonObject | None) -> None:
        name = key[1]
        if obj is None:
            gone = self._definitions.pop(name, None)
            if gone is not None:
                # names that it held may be free for others of its group
                for other, one in self._definitions.items():
                    if one["spec"]["group"] == gone["spec"]["group"]:
                        self._changed.put_nowait(other)
        else:
            self._definitions[name] = _summarise(obj)
        self._changed.put_nowait(name)

    async def _settle(self, name: str, scope: TaskScope) -> None:
        try:
            await self._serve(name, scope)
        except ApiError as error:
            if error.code not in (404, 409):  # its next event brings us back
                log.warning("definition failed", extra={"definition": name, "error": error.message})
        except Exception:  # one definition must not stop the others
            log.exception("definition failed", extra={"definition": name})

    async def _serve(self, name: str, scope: TaskScope) -> None:
        definition = self._definitions.get(name)
        served = self._served.get(name)
        if served is not None and (definition is None or definition["metadata"]["uid"] != served.uid):
            self._drop(name, served)
            served = None
        if definition is None:
            return
        deleting = bool(definition["metadata"].get("deletionTimestamp"))
        if not deleting:
            wanted = plan_status(definition, self._definitions.values(), now=format_time(self._now()))
            if wanted != definition["status"]:
                _ = await self._write_status(definition, wanted)
                return
        if not _is_established(definition):
            return
        form = definition["form"]
        if served is None or (served.form, served.deleting) != (form, deleting):
            live = await self._read(definition)
            if live is None:
                return  # it has changed since, and we are told of that next
            kinds = self._without_built_in(build_kinds(live, self._converter(live)))
            self._replace(name, served, _Served(definition["metadata"]["uid"], form, deleting, kinds))
        if (
            deleting
            and CLEANUP in (definition["metadata"].get("finalizers") or ())
            and name not in self._emptying
        ):
            self._emptying.add(name)
            _ = scope.spawn(self._empty(name, self._served[name].kinds.stored), name=f"empty-{name}")

    def _without_built_in(self, kinds: CustomKinds) -> CustomKinds:
        """Leave out versions of groups that are built in: nobody may replace those."""
        built_in = {(kind.group, kind.version) for kind in self._kinds if kind.structure is None}
        served = tuple(kind for kind in kinds.served if (kind.group, kind.version) not in built_in)
        return CustomKinds(served=served, stored=kinds.stored)

    def _converter(self, definition: JsonObject) -> Converter | None:
        conversion = definition["spec"].get("conversion") or {}
        if conversion.get("strategy") != "Webhook":
            return None
        from k3py.apiserver.crd.webhook import ConversionWebhook  # noqa: PLC0415 - few definitions have webhooks

        spec = definition["spec"]
        shown = f"{spec['group']}, Kind={spec['names']['kind']}"
        return ConversionWebhook(conversion["webhook"], shown, self._session).convert

    def _replace(self, name: str, old: _Served | None, new: _Served) -> None:
        stays = {(kind.group, kind.version, kind.plural) for kind in new.kinds.served}
        if old is not None:
            if old.form != new.form:
                # watchers end: what they see may have another form from now on
                self._storage.drop(old.kinds.stored)
            for kind in old.kinds.served:
                if (kind.group, kind.version, kind.plural) not in stays:
                    self._kinds.remove(kind)
        self._served[name] = new
        for kind in new.kinds.served:
            self._kinds.add(kind)

    def _drop(self, name: str, served: _Served) -> None:
        del self._served[name]
        self._emptying.discard(name)
        for kind in served.kinds.served:
            self._kinds.remove(kind)
        self._storage.drop(served.kinds.stored)

    async def _write_status(
        self, definition: JsonObject, status: JsonObject, *, finalizers: list[str] | None = None
    ) -> bool:
        """Write a status; False when the definition is another one by now, of which we are told next. Raises ApiError."""
        live = await self._read(definition)
        if live is None:
            return False
        body: JsonObject = deep_copy(live)
        body["status"] = status
        if finalizers is not None:
            body["metadata"]["finalizers"] = finalizers
        await self._dispatcher.dispatch(
            ApiRequest(
                verb="update",
                resource=DEFINITIONS,
                user=_USER,
                user_agent="kube-apiserver",
                name=definition["metadata"]["name"],
                subresource="status",
                body=body,
            )
        )
        return True

    async def _read(self, definition: JsonObject) -> JsonObject | None:
        """Return the whole definition behind a summary (read-only), None when there is another one by now."""
        store = await self._storage.store_for(self._kind)
        metadata = definition["metadata"]
        try:
            live = (await store.get("", metadata["name"], any_cached=True)).parsed
        except ObjectNotFound:
            return None
        return live if live["metadata"]["resourceVersion"] == metadata["resourceVersion"] else None

    async def _empty(self, name: str, stored: Kind) -> None:
        """Delete all objects of a definition, wait until they are gone, let the definition go."""
        backoff = Backoff(first_s=0.1, cap_s=30.0, jitter=0.5)
        while name in self._emptying:
            try:
                await self._delete_objects(stored)
                await self._finish(name)
            except (ApiError, StorageError) as error:
                log.warning("emptying a definition failed", extra={"definition": name, "error": str(error)})
                await asyncio.sleep(backoff.next_s())
            else:
                return

    async def _delete_objects(self, stored: Kind) -> None:
        store = await self._storage.store_for(stored)
        while True:
            page = await store.list(ListQuery())
            if not page.items:
                return
            for view in page.items:
                if not view.parsed["metadata"].get("deletionTimestamp"):
                    await self._delete_object(stored, view.namespace, view.name)
            await self._wait_until_empty(store, page.revision)

    async def _delete_object(self, kind: Kind, namespace: str, name: str) -> None:
        try:
            await self._dispatcher.dispatch(
                ApiRequest(
                    verb="delete",
                    resource=self._served_resource(kind),
                    user=_USER,
                    user_agent="kube-apiserver",
                    namespace=namespace,
                    name=name,
                )
            )
        except ApiError as error:
            if error.code != 404:
                raise

    def _served_resource(self, stored: Kind) -> Resource:
        """Return a version under which objects can be reached; the stored one may not be served."""
        served = self._served[f"{stored.plural}.{stored.group}"].kinds.served
        for kind in served:
            if kind.version == stored.version:
                return kind.resource
        return served[0].resource if served else stored.resource

    async def _wait_until_empty(self, store: Store, revision: int) -> None:
        try:
            async with store.watch(WatchQuery(after=revision)) as batches:
                if not (await store.list(ListQuery(limit=1))).items:
                    return
                async for _ in batches:
                    if not (await store.list(ListQuery(limit=1))).items:
                        return
        except RevisionExpired:
            return  # look again

    async def _finish(self, name: str) -> None:
        definition = self._definitions.get(name)
        while definition is not None and CLEANUP in (definition["metadata"].get("finalizers") or ()):
            status = definition.get("status") or {}
            conditions = set_condition(
                status.get("conditions") or [],
                "Terminating",
                "False",
                reason="InstanceDeletionCompleted",
                message="removed all instances",
                now=format_time(self._now()),
            )
            finalizers = [one for one in definition["metadata"]["finalizers"] if one != CLEANUP]
            try:
                written = await self._write_status(
                    definition, {**status, "conditions": conditions}, finalizers=finalizers
                )
            except ApiError as error:
                if error.code == 404:
                    return
                if error.code != 409:
                    raise
                written = False
            if written:
                return
            await asyncio.sleep(0)  # our view is behind by a turn of the loop
            definition = self._definitions.get(name)


def _is_established(definition: JsonObject) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _summarise(definition: JsonObject) -> JsonObject:
    """Return what must be at hand of a definition: all but its versions, which are large; `form` changes when kinds do."""
    spec, metadata = definition["spec"], definition["metadata"]
    status = definition.get("status") or {}
    form = orjson.dumps([spec, status.get("acceptedNames")], option=orjson.OPT_SORT_KEYS)
    shown = ("name", "uid", "resourceVersion", "deletionTimestamp", "finalizers", "annotations")
    return {
        "metadata": {key: metadata[key] for key in shown if key in metadata},
        "spec": {key: spec[key] for key in ("group", "names") if key in spec},
        "status": status,
        "form": hashlib.blake2b(form, digest_size=16).digest(),
    }
