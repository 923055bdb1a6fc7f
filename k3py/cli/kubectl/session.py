"""What the built-in kubectl's commands share: the client, the namespace, and which resource a word means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.api.patch.json_patch import apply_json_patch
from k3py.api.patch.merge_patch import apply_merge_patch
from k3py.api.resource import Resource
from k3py.cli.kubectl.output import write_query
from k3py.client.interface import PatchType
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from k3py.client.http import HttpClient
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.jsontypes import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A resource of the server; words: all that name it; preferred: in the first version of its group."""

    resource: Resource
    words: frozenset[str]
    short_names: tuple[str, ...]
    verbs: frozenset[str]
    categories: frozenset[str]
    preferred: bool


@dataclass(slots=True)
class Session:
    """One run of the command line."""

    client: HttpClient
    config: Kubeconfig
    namespace: str
    enforced: bool = False
    """Whether the namespace was named on the command line."""
    path: Path | None = None
    """The kubeconfig file."""
    _known: list[Served] | None = None

    async def served(self) -> list[Served]:
        """Return what the server serves, from the aggregated discovery."""
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
        for one in await self.served():
            if name in one.words and (not group or one.resource.group == group):
                return one.resource
        raise K3pyError(f'the server doesn\'t have a resource type "{word}"')

    async def objects(
        self, words: Sequence[str], *, selector: str = "", everything: bool = False
    ) -> AsyncIterator[tuple[Resource, JsonObject]]:
        """Yield the objects that are named, or all of a type that match.

        Raises:
            ConfigError: nothing is named.
            ApiError: one is not there.
        """
        for resource, name in await self.targets(words):
            namespace = self.namespace_for(resource)
            if name:
                yield resource, await self.client.get(resource, name, namespace=namespace)
            elif selector or everything:
                listed = await self.client.list(resource, namespace=namespace, label_selector=selector)
                for one in listed.items:
                    yield resource, one
            else:
                raise ConfigError("resource(s) were provided, but no name was specified")

    async def patch(
        self,
        options: argparse.Namespace,
        resource: Resource,
        obj: JsonObject,
        patch: JsonValue,
        *,
        manager: str,
        patch_type: PatchType = PatchType.MERGE,
    ) -> JsonObject:
        """Patch an object of the server, with --dry-run as asked; "client" only shows what is there."""
        query = write_query(options, manager)
        metadata = obj["metadata"]
        if options.dry_run == "client":
            return _patch_here(resource, obj, patch, patch_type)
        path = resource.path(metadata.get("namespace", ""), metadata["name"])
        return await self.client.request(
            "PATCH", path, query=query, body=patch, content_type=patch_type.value
        )

    async def create(
        self, options: argparse.Namespace, obj: JsonObject, *, manager: str
    ) -> tuple[Resource, JsonObject]:
        """Create an object in its namespace, else in that of the command line; with --dry-run as asked."""
        resource = await self.find_kind(obj)
        query = write_query(options, manager)
        namespace = obj["metadata"].get("namespace", "")
        if resource.namespaced and self.enforced and not namespace:
            obj = {**obj, "metadata": {**obj["metadata"], "namespace": self.namespace}}
        if options.dry_run == "client":
            return resource, obj
        path = resource.path(namespace or self.namespace)
        return resource, await self.client.request("POST", path, query=query, body=obj)

    async def _find_all(self, word: str) -> list[Resource]:
        """Return the resources of a category such as "all", else the one that is named."""
        found = [one.resource for one in await self.served() if one.preferred and word in one.categories]
        return found or [await self.find_resource(word)]

    async def find_kind(self, obj: JsonObject) -> Resource:
        """Return the resource of an object by its apiVersion and kind. Raises K3pyError."""
        wanted = (obj.get("apiVersion", ""), obj.get("kind", ""))
        for one in await self.served():
            if (one.resource.api_version, one.resource.kind) == wanted:
                return one.resource
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
        resources = [found for word in words[0].split(",") for found in await self._find_all(word)]
        return [(resource, name) for resource in resources for name in (words[1:] or [""])]


def _patch_here(resource: Resource, obj: JsonObject, patch: JsonValue, patch_type: PatchType) -> JsonObject:
    """Patch as the server would, as far as that can be known here."""
    if patch_type is PatchType.JSON:
        return apply_json_patch(obj, patch)
    if patch_type is PatchType.STRATEGIC:
        from k3py.api.patch.strategic import apply_strategic_patch  # noqa: PLC0415 - rarely wanted
        from k3py.api.schema import load_schema  # noqa: PLC0415 - the same

        schemas = load_schema()
        name = schemas.find_type_name(resource.api_version, resource.kind)
        if name is not None:
            return apply_strategic_patch(obj, patch, name, schemas)
    return apply_merge_patch(obj, patch)


def _read_group(group: JsonObject) -> list[Served]:
    found = []
    name = group["metadata"].get("name", "")
    for index, version in enumerate(group["versions"]):
        for one in version.get("resources") or ():
            resource = Resource(
                name,
                version["version"],
                one["resource"],
                one["responseKind"]["kind"],
                one["scope"] == "Namespaced",
            )
            short = tuple(one.get("shortNames") or ())
            words = (
                one["resource"],
                one.get("singularResource", ""),
                one["responseKind"]["kind"].lower(),
                *short,
            )
            found.append(
                Served(
                    resource=resource,
                    words=frozenset(words),
                    short_names=short,
                    verbs=frozenset(one.get("verbs") or ()),
                    categories=frozenset(one.get("categories") or ()),
                    preferred=index == 0,
                )
            )
    return found
