"""ConfigMaps, Secrets, claims and tokens that pods on this node refer to, each followed by a watch of its own.

Upstream's kubelet does the same (configMapAndSecretChangeDetectionStrategy: Watch): a node may read only what its pods name. An entry
lives while a pod uses it; a change wakes the pods that use it. Nothing polls.

Where a last known state is kept, what pods use is remembered there for a start without the server (an object that is not there as well:
a reference may be optional). Tokens are never: a pod that starts then has an empty one until the server is back.

Source: pkg/kubelet/util/manager/watch_based_manager.go, pkg/kubelet/token/token_manager.go v1.35.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from k3py.api.resource import (
    CONFIG_MAPS,
    CSI_DRIVERS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from k3py.api.status import ApiError
from k3py.client.errors import Unreachable
from k3py.client.last_known import essence
from k3py.kubelet.status import timestamp
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from k3py.client.interface import Client
    from k3py.client.last_known import LastKnown
    from k3py.jsontypes import JsonObject
    from k3py.util.supervise import TaskScope

log = logging.getLogger(__name__)

RUNTIME_CLASSES: Final = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)

_RETRY_S: Final = (0.1, 0.5, 1.0, 5.0, 15.0)
_MAX_TOKEN_AGE_S: Final = 24 * 3600.0
_TOKEN_RETRY_S: Final = 10.0
_LIST: Final = "referenced"
_CSI: Final = "\0csi"


@dataclass(slots=True)
class _Entry:
    users: set[str] = field(default_factory=set)
    known: asyncio.Event = field(default_factory=asyncio.Event)
    obj: JsonObject | None = None
    error: ApiError | None = None
    task: asyncio.Task[None] | None = None
    is_current: bool = False  # the server said so since the start


@dataclass(slots=True)
class _Remembered:
    users: set[str]
    obj: JsonObject | None


class ReferencedObjects:
    """Follows named ConfigMaps and Secrets for the pods that use them.

    Args:
        client: the API.
        scope: where the watches run.
        wake: called with a pod's uid when something it uses changed.
        last_known: None = nothing is remembered.
    """

    def __init__(
        self,
        client: Client,
        scope: TaskScope,
        wake: Callable[[str], None],
        last_known: LastKnown | None = None,
    ) -> None:
        self._last_known = last_known
        self._remembered: dict[tuple[str, str, str], _Remembered] = {}
        self._client = client
        self._scope = scope
        self._wake = wake
        self._entries: dict[tuple[Resource, str, str], _Entry] = {}
        self._tokens: dict[tuple[str, str], _Token] = {}

    async def load(self) -> None:
        """Read what was remembered; before any pod asks."""
        if self._last_known is not None:
            for one in await self._last_known.read(_LIST) or ():
                key = (one["resource"], one["namespace"], one["name"])
                self._remembered[key] = _Remembered(set(one["users"]), one["object"])

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget what was remembered for pods that are gone."""
        users = {uid for one in self._remembered.values() for uid in one.users}
        for uid in users.difference(uids):
            self.release(uid)

    def view(self, pod: JsonObject) -> PodView:
        """Return the objects as one pod sees them."""
        return PodView(self, pod)

    async def find(self, uid: str, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """Return an object as of now, None when there is none; from then on a change wakes the pod `uid`.

        Raises:
            ApiError: it cannot be read.
        """
        key = (resource, namespace, name)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            if (known := self._remembered.get((resource.plural, namespace, name))) is not None:
                entry.users |= known.users  # they hold it, too: a container that runs does not ask again
                if self._is_offline:
                    self._set(entry, known.obj, None)
            entry.task = self._scope.spawn(self._follow(key, entry), name=f"follow-{resource.plural}")
        if uid not in entry.users:
            entry.users.add(uid)
            self._note()
        await entry.known.wait()
        if entry.error is not None:
            raise entry.error
        return entry.obj

    def release(self, uid: str) -> None:
        """Forget what a pod used."""
        for key, entry in tuple(self._entries.items()):
            entry.users.discard(uid)
            if not entry.users:
                del self._entries[key]
                if entry.task is not None:
                    entry.task.cancel()
        for remembered_key, one in tuple(self._remembered.items()):
            one.users.discard(uid)
            if not one.users:
                del self._remembered[remembered_key]
        for token in [one for one in self._tokens if one[0] == uid]:
            del self._tokens[token]
        self._note()

    async def get(self, uid: str, resource: Resource, namespace: str, name: str) -> JsonObject:
        """Return an object that is not followed.

        Raises:
            ApiError: it cannot be read, nor is it remembered.
        """
        key = (resource.plural, namespace, name)
        known = self._remembered.get(key)
        remembered = None if known is None else known.obj
        if remembered is not None and self._is_offline:
            return remembered
        try:
            found = await self._client.get(resource, name, namespace=namespace)
        except Unreachable:
            if remembered is None:
                raise
            return remembered
        if self._last_known is not None:
            users = self._remembered[key].users if key in self._remembered else set()
            self._remembered[key] = _Remembered(users | {uid}, found)
            self._note()
        return found

    @property
    def _is_offline(self) -> bool:
        return self._last_known is not None and self._last_known.offline

    def _note(self) -> None:
        if self._last_known is not None:
            self._last_known.note(_LIST, self._snapshot)

    def _snapshot(self) -> Sequence[JsonObject]:
        known = dict(self._remembered)
        for (resource, namespace, name), entry in self._entries.items():
            if entry.is_current:
                known[resource.plural, namespace, name] = _Remembered(entry.users, entry.obj)
        return [
            {
                "resource": resource,
                "namespace": namespace,
                "name": name,
                "users": sorted(one.users),
                "object": None if one.obj is None else essence(one.obj),
            }
            for (resource, namespace, name), one in known.items()
        ]

    def _recall(self, key: tuple[Resource, str, str], entry: _Entry) -> None:
        """Take what is remembered as long as the server has said nothing."""
        resource, namespace, name = key
        known = self._remembered.get((resource.plural, namespace, name))
        if known is not None and not entry.known.is_set():
            self._set(entry, known.obj, None)

    async def _follow(self, key: tuple[Resource, str, str], entry: _Entry) -> None:
        failures = 0
        while True:
            try:
                await self._list_and_watch(key, entry)
                failures = 0
            except ApiError as error:
                if error.code == 410:
                    continue
                if isinstance(error, Unreachable):
                    self._recall(key, entry)
                if not entry.known.is_set() or entry.error is not None:
                    self._set(entry, None, error)
                await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1

    async def _list_and_watch(self, key: tuple[Resource, str, str], entry: _Entry) -> None:
        resource, namespace, name = key
        selector = f"metadata.name={name}"
        listed = await self._client.list(resource, namespace=namespace, field_selector=selector)
        self._tell(key, entry, listed.items[0] if listed.items else None)
        async with self._client.watch(
            resource, namespace=namespace, field_selector=selector, resource_version=listed.resource_version
        ) as events:
            async for event in events:
                if event.type in ("ADDED", "MODIFIED"):
                    self._tell(key, entry, event.object)
                elif event.type == "DELETED":
                    self._tell(key, entry, None)

    def _tell(self, key: tuple[Resource, str, str], entry: _Entry, obj: JsonObject | None) -> None:
        """Take in what the server says."""
        resource, namespace, name = key
        entry.is_current = True
        self._remembered.pop((resource.plural, namespace, name), None)
        self._set(entry, obj, None)
        self._note()

    def _set(self, entry: _Entry, obj: JsonObject | None, error: ApiError | None) -> None:
        first = not entry.known.is_set()
        changed = _version(obj) != _version(entry.obj) or (error is None) != (entry.error is None)
        entry.obj, entry.error = obj, error
        entry.known.set()
        if changed and not first:
            for uid in tuple(entry.users):
                self._wake(uid)

    async def token(self, pod: JsonObject, *, audience: str, expiration_s: int, path_key: str) -> str:
        """Return a service account token bound to `pod`, a new one when 80 % of its life (or 24 h) are over."""
        uid = pod["metadata"]["uid"]
        key = _token_key(uid, audience, expiration_s, path_key)
        known = self._tokens.get(key)
        now_s = clock.wall_s()
        if known is not None and now_s < known.renew_s:
            return known.text
        if known is None and self._is_offline:
            # The server that would accept a token is away: the pod need not wait for it.
            self._tokens[key] = _Token("", now_s + _TOKEN_RETRY_S, 0.0)
            return ""
        account = pod["spec"].get("serviceAccountName") or "default"
        metadata = pod["metadata"]
        request: JsonObject = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": account, "namespace": metadata["namespace"]},
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": expiration_s,
                "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": uid},
            },
        }
        try:
            answer = await self._client.create(
                SERVICE_ACCOUNTS, request, namespace=metadata["namespace"], name=account, subresource="token"
            )
        except ApiError as error:
            if known is None:
                raise
            # Also one that has ended is not asked for at every look: the pod has it, and the server is away.
            self._tokens[key] = _Token(known.text, now_s + _TOKEN_RETRY_S, known.expires_s)
            if now_s >= known.expires_s and not isinstance(error, Unreachable):
                raise
            return known.text
        status = answer["status"]
        expires_s = datetime.fromisoformat(status["expirationTimestamp"]).timestamp()
        life_s = expires_s - now_s
        self._tokens[key] = _Token(status["token"], now_s + min(life_s * 0.8, _MAX_TOKEN_AGE_S), expires_s)
        return str(status["token"])

    def renew_at_s(self, uid: str) -> float | None:
        """Return when a token in a pod's files is due for renewal (seconds since the epoch)."""
        own = (
            token.renew_s
            for key, token in self._tokens.items()
            if key[0] == uid and not key[1].endswith(_CSI)
        )
        return min(own, default=None)

    async def csi_token(self, pod: JsonObject, *, audience: str, expiration_s: int) -> tuple[str, str]:
        """Return a token for a CSI driver and when it ends; the driver says itself when it wants another."""
        text = await self.token(pod, audience=audience, expiration_s=expiration_s, path_key=_CSI)
        token = self._tokens[_token_key(pod["metadata"]["uid"], audience, expiration_s, _CSI)]
        return text, timestamp(token.expires_s)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_s: float
    expires_s: float


def _token_key(uid: str, audience: str, expiration_s: int, path_key: str) -> tuple[str, str]:
    return uid, f"{audience}\0{expiration_s}\0{path_key}"


def _version(obj: JsonObject | None) -> str:
    return "" if obj is None else str(obj["metadata"].get("resourceVersion", ""))


class PodView:
    """`volumes.interface.PodObjects` of one pod."""

    def __init__(self, objects: ReferencedObjects, pod: JsonObject) -> None:
        self._objects = objects
        self._pod = pod
        self._namespace: str = pod["metadata"]["namespace"]
        self._uid: str = pod["metadata"]["uid"]

    async def config_map(self, name: str) -> JsonObject | None:
        """Return a ConfigMap of the pod's namespace."""
        return await self._objects.find(self._uid, CONFIG_MAPS, self._namespace, name)

    async def secret(self, name: str) -> JsonObject | None:
        """Return a Secret of the pod's namespace."""
        return await self._objects.find(self._uid, SECRETS, self._namespace, name)

    async def bound_volume(self, claim: str) -> tuple[JsonObject, JsonObject] | None:
        """Return the volume that a claim is bound to, and the claim; None when it is not bound.

        The claim is followed: a pod that waits for it goes on when it is bound, and a volume that grew is seen to.
        """
        found = await self._objects.find(self._uid, PERSISTENT_VOLUME_CLAIMS, self._namespace, claim)
        if found is None:
            return None
        name = found["spec"].get("volumeName")
        if not name or (found.get("status") or {}).get("phase") != "Bound":
            return None
        return await self._objects.get(self._uid, PERSISTENT_VOLUMES, "", name), found

    async def csi_driver(self, name: str) -> JsonObject | None:
        """Return a CSIDriver, followed."""
        return await self._objects.find(self._uid, CSI_DRIVERS, "", name)

    async def csi_token(self, *, audience: str, expiration_s: int) -> tuple[str, str]:
        """Return a token for a driver and when it ends."""
        return await self._objects.csi_token(self._pod, audience=audience, expiration_s=expiration_s)

    async def runtime_handler(self, runtime_class: str) -> str:
        """Return the handler of a RuntimeClass. Raises ApiError when there is none."""
        found = await self._objects.get(self._uid, RUNTIME_CLASSES, "", runtime_class)
        return str(found.get("handler", ""))

    async def token(self, *, audience: str, expiration_s: int, path_key: str) -> str:
        """Return a service account token bound to the pod."""
        return await self._objects.token(
            self._pod, audience=audience, expiration_s=expiration_s, path_key=path_key
        )
