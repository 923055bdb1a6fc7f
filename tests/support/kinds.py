"""Kinds for tests of generic code, without the table of real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.kind import Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

WIDGET = Kind(
    group="example.com",
    version="v1",
    kind="Widget",
    plural="widgets",
    selectable_fields={
        "spec.nodeName": lambda obj: str((obj.get("spec") or {}).get("nodeName", "")),
        "status.phase": lambda obj: str((obj.get("status") or {}).get("phase", "")),
    },
    storage=StoragePolicy(prefix="example.com/widgets"),
)
GADGET = Kind(
    version="v1",
    kind="Gadget",
    plural="gadgets",
    namespaced=False,
    storage=StoragePolicy(prefix="gadgets"),
)
BEAT = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    storage=StoragePolicy(prefix="leases", durability="volatile"),
)
NOTE = Kind(version="v1", kind="Event", plural="events", storage=StoragePolicy(prefix="events", ttl_s=3600))


def widget(name: str, namespace: str = "default", **extra: JsonObject) -> JsonObject:
    """Return a Widget; `extra` are top-level keys, `labels` goes to metadata."""
    metadata: JsonObject = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    if "labels" in extra:
        metadata["labels"] = extra.pop("labels")
    return {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": metadata, **extra}
