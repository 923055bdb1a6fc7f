"""What the protection of claims and of volumes have in common: a finalizer that stays while the object is in use.

Source: kubernetes/pkg/controller/volume/{pvcprotection,pvprotection} v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.status import ApiError

if TYPE_CHECKING:
    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject


def plan_finalizers(obj: JsonObject, finalizer: str, *, in_use: bool) -> list[str] | None:
    """Return the finalizers that the object shall have, None when it has them."""
    old = list(obj["metadata"].get("finalizers") or ())
    if "deletionTimestamp" not in obj["metadata"]:
        return None if finalizer in old else [*old, finalizer]
    if finalizer in old and not in_use:
        return [one for one in old if one != finalizer]
    return None


async def write_finalizers(
    client: Client, resource: Resource, obj: JsonObject, finalizers: list[str] | None
) -> None:
    """Write what `plan_finalizers` returned; an object that is gone needs none."""
    if finalizers is None:
        return
    try:
        await client.update(resource, {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}})
    except ApiError as error:
        if error.code != 404:
            raise
