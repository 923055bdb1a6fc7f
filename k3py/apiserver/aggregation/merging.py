"""Joins OpenAPI v2 documents: pure.

Source: k8s.io/kube-openapi/pkg/aggregator MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from k3py.jsontypes import JsonObject, JsonValue

_PREFIX: Final = "#/definitions/"


def merge_v2(own: JsonObject, others: Iterable[tuple[str, JsonObject]]) -> JsonObject:
    """Return `own` with the paths below each other document's base path, and the definitions that these need.

    Paths that are there already stay as they are. A definition of the same name that says something else gets another name.
    """
    paths, definitions = dict(own.get("paths") or {}), dict(own.get("definitions") or {})
    for base, other in others:
        wanted = {
            path: item
            for path, item in _entries(other, "paths").items()
            if (path == base or path.startswith(f"{base}/")) and path not in paths
        }
        theirs = _used(wanted, _entries(other, "definitions"))
        names = {name: _free_name(name, theirs[name], definitions) for name in theirs}
        for name, definition in theirs.items():
            definitions.setdefault(names[name], _renamed(definition, names))
        paths |= {path: _renamed(item, names) for path, item in wanted.items()}
    return {
        **own,
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
    }


def _entries(document: JsonObject, key: str) -> dict[str, JsonObject]:
    """Return the objects of a part by name; what is no object, in a document of another server, is left out."""
    found = document.get(key)
    return (
        {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}
    )


def _used(root: JsonValue, definitions: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
    """Return the definitions that a part refers to, directly or through others, and all that describe a kind."""
    found: dict[str, JsonObject] = {}
    waiting = [*_references(root)]
    waiting += [name for name, one in definitions.items() if "x-kubernetes-group-version-kind" in one]
    while waiting:
        name = waiting.pop()
        if name not in found and name in definitions:
            found[name] = definitions[name]
            waiting += _references(definitions[name])
    return found


def _references(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(_PREFIX):
            yield target.removeprefix(_PREFIX)
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


def _free_name(name: str, definition: JsonObject, taken: Mapping[str, JsonObject]) -> str:
    number, candidate = 1, name
    while candidate in taken and not _says_the_same(taken[candidate], definition):
        number += 1
        candidate = f"{name}_v{number}"
    return candidate


def _says_the_same(one: JsonObject, other: JsonObject) -> bool:
    """Compare what definitions mean; texts and the kinds that share a type differ between versions of Kubernetes."""
    return bool(_meaning(one) == _meaning(other))


def _meaning(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        dropped = ("description", "x-kubernetes-group-version-kind")
        return {key: _meaning(one) for key, one in value.items() if key not in dropped}
    return [_meaning(one) for one in value] if isinstance(value, list) else value


def _renamed(value: JsonValue, names: Mapping[str, str]) -> JsonValue:
    if isinstance(value, dict):
        renamed = {key: _renamed(one, names) for key, one in value.items()}
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(_PREFIX):
            name = target.removeprefix(_PREFIX)
            renamed["$ref"] = _PREFIX + names.get(name, name)
        return renamed
    return [_renamed(one, names) for one in value] if isinstance(value, list) else value
