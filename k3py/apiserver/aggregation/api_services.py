"""The index of APIServices: which group and version other servers serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.conditions import find_status
from k3py.api.kinds.apiregistration.api_service import AVAILABLE
from k3py.api.registry import ForeignVersion
from k3py.api.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.jsontypes import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReference:
    """The Service of an extension API server; `port` is one of its ports."""

    namespace: str
    name: str
    port: int

    @property
    def host(self) -> str:
        """The name that the server's certificate must be for."""
        return f"{self.name}.{self.namespace}.svc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What an APIService says.

    service: None = this server serves the version itself. ca_bundle: PEM in base64, "" = the system's authorities.
    available: the condition of that name is True.
    """

    name: str
    uid: str
    group: str
    version: str
    service: ServiceReference | None = None
    ca_bundle: str = ""
    insecure: bool = False
    group_priority: int = 0
    version_priority: int = 0
    available: bool = False

    @property
    def is_remote(self) -> bool:
        """Say whether another server serves it."""
        return self.service is not None

    def leads_like(self, other: Registration | None) -> bool:
        """Say whether both lead to the same server by the same rules."""
        return other is not None and (self.uid, self.service, self.ca_bundle, self.insecure) == (
            other.uid,
            other.service,
            other.ca_bundle,
            other.insecure,
        )


class ApiServices:
    """Registrations by name; `generation` goes up with every change that discovery shows."""

    def __init__(self) -> None:
        self.generation = 0
        self._objects: dict[str, JsonObject] = {}
        self._remotes: dict[tuple[str, str], Registration] = {}
        self._resources: dict[tuple[str, str], list[JsonObject]] = {}
        self._listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call `listener(name)` after every change of an APIService, in the caller's turn of the loop."""
        self._listeners.append(listener)

    def handle(self, key: tuple[str, str], obj: JsonObject | None) -> None:
        """Take in an APIService as it is now, None = it is gone (a Follower's handler)."""
        name = key[1]
        before = self._objects.pop(name, None)
        known = _read(before) if before is not None else None
        now = _read(obj) if obj is not None else None
        if obj is not None:
            self._objects[name] = obj
        if known != now:
            for one in (known, now):
                if one is not None and one.is_remote:
                    self.generation += 1
            if known is not None:
                self._remotes.pop((known.group, known.version), None)
            if now is not None and now.is_remote:
                self._remotes[now.group, now.version] = now
        for listener in tuple(self._listeners):
            listener(name)

    def find(self, name: str) -> JsonObject | None:
        """Return an APIService, read-only."""
        return self._objects.get(name)

    def find_registration(self, name: str) -> Registration | None:
        """Return what an APIService says."""
        obj = self._objects.get(name)
        return _read(obj) if obj is not None else None

    @property
    def has_remotes(self) -> bool:
        """Say whether other servers serve anything."""
        return bool(self._remotes)

    def find_remote(self, group: str, version: str) -> Registration | None:
        """Return the registration of a version that another server serves."""
        return self._remotes.get((group, version))

    def list_remotes(self) -> list[Registration]:
        """Return the registrations of all versions that other servers serve."""
        return list(self._remotes.values())

    def keep_resources(self, registration: Registration, document: JsonValue) -> None:
        """Take in the APIResourceList of a remote version; anything else counts as an empty one."""
        found = document.get("resources") if isinstance(document, dict) else None
        resources = [_clean(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        key = (registration.group, registration.version)
        if self._resources.get(key) != resources:
            self._resources[key] = resources
            self.generation += 1

    def forget_resources(self, registration: Registration) -> None:
        """Drop what a remote version said it serves: it is gone."""
        if self._resources.pop((registration.group, registration.version), None) is not None:
            self.generation += 1

    def list_resources(self, registration: Registration) -> list[JsonObject]:
        """Return what a remote version said last that it serves (entries of an APIResourceList), read-only."""
        return self._resources.get((registration.group, registration.version), [])

    def list_foreign(self) -> list[ForeignVersion]:
        """Return all versions that other servers serve, with their resources (no subresources)."""
        return [
            ForeignVersion(
                group=one.group,
                version=one.version,
                available=one.available,
                resources=tuple(
                    (_resource(one, document), frozenset(document.get("verbs") or ()))
                    for document in self.list_resources(one)
                    if "/" not in str(document.get("name", ""))
                ),
            )
            for one in self._remotes.values()
        ]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all APIServices."""
        return iter(tuple(self._objects))


_TEXTS: Final = ("name", "singularName", "kind", "group", "version")
_LISTS: Final = ("verbs", "shortNames", "categories")


def _clean(resource: JsonObject) -> JsonObject:
    """Return the known fields of an APIResource, each of its type: other servers answer what they like."""
    found: JsonObject = {key: resource[key] for key in _TEXTS if isinstance(resource.get(key), str)}
    for key in _LISTS:
        values = resource.get(key)
        if isinstance(values, list):
            found[key] = [one for one in values if isinstance(one, str)]
    return {**found, "namespaced": resource.get("namespaced") is True}


def _resource(registration: Registration, document: JsonObject) -> Resource:
    return Resource(
        registration.group,
        registration.version,
        str(document.get("name", "")),
        str(document.get("kind", "")),
        namespaced=bool(document.get("namespaced")),
    )


def _read(obj: JsonObject) -> Registration:
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    service = spec.get("service")
    return Registration(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        group=spec.get("group") or "",
        version=spec.get("version") or "",
        service=ServiceReference(
            namespace=service.get("namespace", ""),
            name=service.get("name", ""),
            port=service.get("port", 443),
        )
        if service
        else None,
        ca_bundle=spec.get("caBundle") or "",
        insecure=bool(spec.get("insecureSkipTLSVerify")),
        group_priority=spec.get("groupPriorityMinimum") or 0,
        version_priority=spec.get("versionPriority") or 0,
        available=find_status((obj.get("status") or {}).get("conditions"), AVAILABLE) == "True",
    )
