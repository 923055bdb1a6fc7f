"""The kind Addon: what the cluster knows of a file of the manifests folder.

Group, fields, annotation and the marks on what a file made are K3s' own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from k3py.addons.definitions import make_definition
from k3py.api.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

ADDONS: Final = Resource("k3s.cattle.io", "v1", "addons", "Addon")
NAMESPACE: Final = "kube-system"
GVKS: Final = "addon.k3s.cattle.io/gvks"
HASH: Final = "objectset.rio.cattle.io/hash"
_TEXT: Final = {"type": "string"}


def addon_definition() -> JsonObject:
    """Return the definition of Addons."""
    return make_definition(
        ADDONS,
        spec={"source": _TEXT, "checksum": _TEXT},
        status={},
        columns=(("Source", "string", ".spec.source"), ("Checksum", "string", ".spec.checksum")),
        has_status=False,
    )


def make_addon(name: str) -> JsonObject:
    """Return a new Addon for a file."""
    return {
        "kind": ADDONS.kind,
        "apiVersion": ADDONS.api_version,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {},
    }


def owner_marks(name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return labels and annotations of everything that the file of this Addon made."""
    digest = hashlib.sha1(
        f"{ADDONS.api_version}/{ADDONS.kind}/{NAMESPACE}/{name}".encode(), usedforsecurity=False
    )
    annotations = {
        "objectset.rio.cattle.io/id": "",
        "objectset.rio.cattle.io/owner-gvk": f"{ADDONS.api_version}, Kind={ADDONS.kind}",
        "objectset.rio.cattle.io/owner-name": name,
        "objectset.rio.cattle.io/owner-namespace": NAMESPACE,
    }
    return {HASH: digest.hexdigest()}, annotations


def read_gvks(addon: JsonObject) -> set[tuple[str, str]]:
    """Return apiVersion and kind of all kinds of which the file has made objects."""
    text = (addon["metadata"].get("annotations") or {}).get(GVKS, "")
    found = set()
    for one in text.split(";"):
        api_version, _, kind = one.partition(", Kind=")
        if api_version and kind:
            found.add((api_version, kind))
    return found


def write_gvks(gvks: Iterable[tuple[str, str]]) -> str:
    """Return the annotation for these kinds."""
    return ";".join(f"{api_version}, Kind={kind}" for api_version, kind in sorted(gvks))
