"""Kinds of add-ons as CustomResourceDefinitions, in the groups that K3s gave them, so that tools for K3s find them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.api.resource import Resource
from k3py.client.interface import PatchType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.api.registry import KindRegistry
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
MANAGER: Final = "k3py-addons"


def make_definition(
    resource: Resource,
    *,
    spec: JsonObject,
    status: JsonObject,
    columns: Sequence[tuple[str, str, str]] = (),
    has_status: bool = True,
) -> JsonObject:
    """Return the definition of a namespaced kind.

    spec, status: schemas by field name. columns: name, type and JSON path of printer columns. has_status: status is a subresource.
    """
    version: JsonObject = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": {"type": "object", "properties": spec},
                    "status": {"type": "object", "properties": status},
                },
            }
        },
    }
    if columns:
        version["additionalPrinterColumns"] = [
            {"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns
        ]
    if has_status:
        version["subresources"] = {"status": {}}
    return {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": {
                "kind": resource.kind,
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "listKind": f"{resource.kind}List",
            },
            "scope": "Namespaced",
            "preserveUnknownFields": False,
            "versions": [version],
        },
    }


async def ensure_definition(client: Client, definition: JsonObject) -> None:
    """Create or complete a definition; nothing is written when it is there as it should be. Raises ApiError."""
    await client.patch(
        DEFINITIONS,
        definition["metadata"]["name"],
        definition,
        patch_type=PatchType.APPLY,
        field_manager=MANAGER,
        force=True,
    )


async def wait_served(kinds: KindRegistry, *resources: Resource) -> None:
    """Return once all of them are served."""
    await wait_until(kinds, lambda: all(kinds.find(one.group, one.version, one.plural) for one in resources))


async def wait_until(kinds: KindRegistry, condition: Callable[[], object]) -> None:
    """Return once `condition()` is true; looked at again whenever what is served changes."""
    changed = asyncio.Event()
    end = kinds.subscribe(changed.set)
    try:
        while not condition():
            await changed.wait()
            changed.clear()
    finally:
        end()
