"""The provisioner's settings: config.json of the ConfigMap local-path-config. Pure.

Source: rancher/local-path-provisioner README and provisioner.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonValue

CONFIG_MAP: Final = "local-path-config"
DEFAULT_NODE: Final = "DEFAULT_PATH_FOR_NON_LISTED_NODES"


class SettingsError(K3pyError):
    """The settings cannot be used, or have no place for a volume; says why."""


@dataclass(frozen=True, slots=True)
class LocalPathSettings:
    """node_paths: folders by node name, those of nodes that are not listed under DEFAULT_NODE. shared: a folder that all nodes share, "" = there is none."""

    node_paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shared: str = ""

    def folders_of(self, node: str) -> tuple[str, ...]:
        """Return the folders for volumes on a node. Raises SettingsError: there is none."""
        if node in self.node_paths:
            found = self.node_paths[node]
            if not found:
                raise SettingsError(
                    f"no local path available on node {node}: its list in nodePathMap is empty"
                )
            return found
        if found := self.node_paths.get(DEFAULT_NODE, ()):
            return found
        raise SettingsError(
            f"nodePathMap doesn't contain node {node}, and doesn't contain {DEFAULT_NODE} either"
        )


def parse_settings(text: str) -> LocalPathSettings:
    """Read config.json. Raises SettingsError."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{CONFIG_MAP}: config.json: is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{CONFIG_MAP}: config.json: must be an object")
    shared = document.get("sharedFileSystemPath") or ""
    nodes = document.get("nodePathMap") or []
    if not isinstance(shared, str) or not isinstance(nodes, list) or (shared and nodes):
        raise SettingsError(
            f"{CONFIG_MAP}: config.json: must have either nodePathMap, a list, or sharedFileSystemPath"
        )
    if shared:
        return LocalPathSettings(shared=_check_path(shared))
    paths: dict[str, tuple[str, ...]] = {}
    for entry in nodes:
        name, found = _read_entry(entry)
        if name in paths:
            raise SettingsError(f"{CONFIG_MAP}: nodePathMap: {name} is there twice")
        paths[name] = found
    return LocalPathSettings(paths)


def _read_entry(entry: JsonValue) -> tuple[str, tuple[str, ...]]:
    name = entry.get("node") if isinstance(entry, dict) else None
    paths = entry.get("paths") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not isinstance(paths or [], list):
        raise SettingsError(
            f"{CONFIG_MAP}: nodePathMap: every entry must have node, a text, and paths, a list"
        )
    return name, tuple(_check_path(one) for one in paths or ())


def _check_path(path: object) -> str:
    """The provisioner's own rules: absolute, and not the root."""
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        raise SettingsError(f"{CONFIG_MAP}: {path!r}: must be an absolute path without ..")
    clean = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    if clean == "/":
        raise SettingsError(f"{CONFIG_MAP}: {path!r}: the root folder cannot hold volumes")
    return clean
