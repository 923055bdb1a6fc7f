"""What the built-in kubectl's commands share: the client, the namespace, and which resource a word means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.api.resource import Resource
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.client.http import HttpClient
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.jsontypes import JsonObject


@dataclass(slots=True)
class Session:
    """One run of the command line."""

    client: HttpClient
    config: Kubeconfig
    namespace: str
    _known: list[tuple[Resource, frozenset[str]]] | None = None

    async def resources(self) -> list[tuple[Resource, frozenset[str]]]:
        """Return what the server serves, with the words that name it, from the aggregated discovery."""
        if self._known is None:
            self._known = []
            accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            for path in ("/api", "/apis"):
                document = await self.client.request("GET", path, accept=accept)
                for group in document["items"]:
                    self._known += _read_group(group)
        return self._known

    async def find_resource(self, word: str) -> Resource:
        """Return the resource that `word` (plural, singular, short name or kind, with `.group` if need be) names.

        Raises:
            K3pyError: the server has none.
        """
        name, _, group = word.lower().partition(".")
        for resource, words in await self.resources():
            if name in words and (not group or resource.group == group):
                return resource
        raise K3pyError(f'the server doesn\'t have a resource type "{word}"')

    async def find_kind(self, obj: JsonObject) -> Resource:
        """Return the resource of an object by its apiVersion and kind. Raises K3pyError."""
        wanted = (obj.get("apiVersion", ""), obj.get("kind", ""))
        for resource, _ in await self.resources():
            if (resource.api_version, resource.kind) == wanted:
                return resource
        raise K3pyError(f'no matches for kind "{wanted[1]}" in version "{wanted[0]}"')

    def namespace_for(self, resource: Resource) -> str:
        """Return the namespace to use, "" for cluster-scoped resources."""
        return self.namespace if resource.namespaced else ""

    async def targets(self, words: Sequence[str]) -> list[tuple[Resource, str]]:
        """Read `TYPE NAME…`, `TYPE/NAME…` or `TYPE`; a name of "" means all.

        Raises:
            ConfigError: nothing is named.
        """
        if not words:
            raise ConfigError("You must specify the type of resource, for example `pods`")
        if "/" in words[0]:
            found = []
            for word in words:
                kind, _, name = word.partition("/")
                if not name:
                    raise ConfigError(f"{word!r}: must be TYPE/NAME, as the first one is")
                found.append((await self.find_resource(kind), name))
            return found
        resources = [await self.find_resource(one) for one in words[0].split(",")]
        return [(resource, name) for resource in resources for name in (words[1:] or [""])]


def _read_group(group: JsonObject) -> list[tuple[Resource, frozenset[str]]]:
    found = []
    name = group["metadata"].get("name", "")
    for version in group["versions"]:
        for one in version.get("resources") or ():
            resource = Resource(
                name,
                version["version"],
                one["resource"],
                one["responseKind"]["kind"],
                one["scope"] == "Namespaced",
            )
            words = (one["resource"], one.get("singularResource", ""), one["responseKind"]["kind"].lower())
            found.append((resource, frozenset((*words, *(one.get("shortNames") or ())))))
    return found
