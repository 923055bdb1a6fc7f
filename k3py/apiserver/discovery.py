"""What is served: the documents below /api and /apis, each in its legacy form and aggregated (apidiscovery.k8s.io/v2).

Documents are derived from the table of kinds, kept until it changes.
Source: k8s.io/apiserver/pkg/endpoints/discovery v0.35; order of groups: the priorities of the aggregator's APIServices.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import orjson

from k3py.apiserver.aggregation.api_services import Registration
from k3py.apiserver.aggregation.priorities import group_priority, version_order, version_priority
from k3py.apiserver.aggregation.resources import aggregate_resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.kind import Kind, Subresource
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.aggregation.api_services import ApiServices
    from k3py.jsontypes import JsonObject

AGGREGATED_TYPE: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Discovery:
    """Makes discovery documents of a table of kinds; `server_address` ("host:port") goes into /api.

    `services`: groups and versions that other servers serve; None = there are none.
    """

    def __init__(
        self, kinds: KindRegistry, *, server_address: str, services: ApiServices | None = None
    ) -> None:
        self._kinds = kinds
        self._services = services
        self._server_address = server_address
        self._generation = (-1, -1)
        self._documents: dict[str, JsonObject] = {}
        self._groups: dict[str, dict[str, list[Kind] | Registration]] = {}
        self._aggregated: dict[str, tuple[bytes, str]] = {}

    @property
    def group_versions(self) -> list[tuple[str, str]]:
        """All (group, version), in the order of /apis."""
        self._refresh()
        return [(group, version) for group, versions in self._groups.items() for version in versions]

    def find(self, path: str) -> JsonObject | None:
        """Return the legacy document of a path without trailing slash ("/api", "/apis/apps/v1"), None when there is none."""
        self._refresh()
        found = self._documents.get(path)
        if found is None:
            found = self._make(path.split("/")[1:])
            if found is not None:
                self._documents[path] = found
        return found

    def has_group(self, group: str) -> bool:
        """Say whether a group is served."""
        self._refresh()
        return group in self._groups

    def aggregated(self, path: str) -> tuple[bytes, str]:
        """Return the aggregated document of "/api" or "/apis", and its ETag."""
        self._refresh()
        found = self._aggregated.get(path)
        if found is None:
            groups = [group for group in self._groups if bool(group) == (path == "/apis")]
            document = {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": [self._aggregated_group(group) for group in groups],
            }
            body = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
            tag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
            found = self._aggregated[path] = (body, tag)
        return found

    def _refresh(self) -> None:
        remote = self._services
        generation = (self._kinds.generation, remote.generation if remote is not None else 0)
        if self._generation == generation:
            return
        self._generation = generation
        self._documents.clear()
        self._aggregated.clear()
        kinds: dict[str, dict[str, list[Kind]]] = {}
        for kind in self._kinds:
            kinds.setdefault(kind.group, {}).setdefault(kind.version, []).append(kind)
        found: dict[str, dict[str, list[Kind] | Registration]] = {
            group: {
                version: sorted(members, key=lambda kind: kind.plural)
                for version, members in versions.items()
            }
            for group, versions in kinds.items()
        }
        for one in remote.list_remotes() if remote is not None else ():
            found.setdefault(one.group, {})[one.version] = one
        self._groups = {
            group: dict(sorted(versions.items(), key=lambda item: _version_order(group, *item), reverse=True))
            for group, versions in sorted(found.items(), key=lambda item: _group_order(*item))
        }

    def _make(self, parts: list[str]) -> JsonObject | None:
        match parts:
            case ["api"]:
                return self._api_versions() if "" in self._groups else None
            case ["apis"]:
                groups = [self._group(group) for group in self._groups if group]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
            case ["api", version]:
                return self._resource_list("", version)
            case ["apis", group] if group in self._groups:
                return {"kind": "APIGroup", "apiVersion": "v1", **self._group(group)}
            case ["apis", group, version]:
                return self._resource_list(group, version)
        return None

    def _api_versions(self) -> JsonObject:
        return {
            "kind": "APIVersions",
            "versions": list(self._groups[""]),
            "serverAddressByClientCIDRs": [
                {"clientCIDR": "0.0.0.0/0", "serverAddress": self._server_address}
            ],
        }

    def _group(self, group: str) -> JsonObject:
        versions = [{"groupVersion": f"{group}/{one}", "version": one} for one in self._groups[group]]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resource_list(self, group: str, version: str) -> JsonObject | None:
        kinds = self._groups.get(group, {}).get(version)
        if not isinstance(kinds, list):
            return None  # unknown, or another server's to answer
        resources = []
        for kind in kinds:
            resources.append(_resource(kind))
            resources += [_subresource(kind, one) for one in sorted(kind.subresources, key=_name)]
        document: JsonObject = {"kind": "APIResourceList"}
        if group:
            document["apiVersion"] = "v1"
        document["groupVersion"] = f"{group}/{version}" if group else version
        document["resources"] = resources
        return document

    def _aggregated_group(self, group: str) -> JsonObject:
        return {
            "metadata": {"name": group} if group else {},
            "versions": [
                self._aggregated_version(version, served) for version, served in self._groups[group].items()
            ],
        }

    def _aggregated_version(self, version: str, served: list[Kind] | Registration) -> JsonObject:
        if isinstance(served, list):
            resources = [_aggregated_resource(kind) for kind in served]
            return {"version": version, "resources": resources, "freshness": "Current"}
        told = self._services.list_resources(served) if self._services is not None else []
        found: JsonObject = {"version": version}
        if told:
            found["resources"] = aggregate_resources(served.group, version, told)
        # What was told last stays listed: clients take a stale version for a part that is missing, not for one that has gone.
        found["freshness"] = "Current" if served.available else "Stale"
        return found


def _group_order(group: str, versions: Mapping[str, list[Kind] | Registration]) -> tuple[int, str]:
    priorities = [
        served.group_priority if isinstance(served, Registration) else group_priority(group)
        for served in versions.values()
    ]
    return (-max(priorities), group)


def _version_order(
    group: str, version: str, served: list[Kind] | Registration
) -> tuple[int, tuple[int, int, int, str]]:
    priority = version_priority(group, version) if isinstance(served, list) else served.version_priority
    return (priority, version_order(version))


def _name(subresource: Subresource) -> str:
    return subresource.name


def _resource(kind: Kind) -> JsonObject:
    found: JsonObject = {
        "name": kind.plural,
        "singularName": kind.singular or kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    if kind.storage_version_hash:
        found["storageVersionHash"] = kind.storage_version_hash
    return found


def _subresource(kind: Kind, subresource: Subresource) -> JsonObject:
    found: JsonObject = {
        "name": f"{kind.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
    }
    if subresource.version:
        found["group"] = subresource.group
        found["version"] = subresource.version
    found["kind"] = subresource.kind or kind.kind
    found["verbs"] = sorted(subresource.verbs)
    return found


def _aggregated_resource(kind: Kind) -> JsonObject:
    found: JsonObject = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular or kind.kind.lower(),
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    if kind.subresources:
        found["subresources"] = [
            {
                "subresource": one.name,
                "responseKind": _response_kind(one.kind or kind.kind, one.group, one.version),
                "verbs": sorted(one.verbs),
            }
            for one in sorted(kind.subresources, key=_name)
        ]
    return found


def _response_kind(kind: str, group: str = "", version: str = "") -> JsonObject:
    """Group and version are empty where they are the resource's own; clients fill them in."""
    return {"group": group, "version": version, "kind": kind}
