"""From the legacy discovery document of another server to the aggregated form.

Source: k8s.io/apiserver/pkg/endpoints/installer.go ConvertGroupVersionIntoToDiscovery v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject


def aggregate_resources(group: str, version: str, resources: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the resources (APIResourceDiscovery) of entries of an APIResourceList, subresources within their parents."""
    found: dict[str, JsonObject] = {}
    for one in resources:
        name, _, subresource = str(one.get("name", "")).partition("/")
        parent = found.setdefault(name, {"resource": name, "scope": _scope(one)})
        shown: JsonObject = {
            "responseKind": {
                "group": one.get("group") or group,
                "version": one.get("version") or version,
                "kind": one.get("kind") or "",
            },
            "verbs": list(one.get("verbs") or ()),
        }
        if subresource:
            parent.setdefault("subresources", []).append({"subresource": subresource, **shown})
            continue
        parent |= {**shown, "scope": _scope(one), "singularResource": one.get("singularName") or ""}
        for key in ("shortNames", "categories"):
            if one.get(key):
                parent[key] = list(one[key])
    return list(found.values())


def _scope(resource: JsonObject) -> str:
    return "Namespaced" if resource.get("namespaced") else "Cluster"
