"""Sends a pod's status to the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.client.interface import PatchType

if TYPE_CHECKING:
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject


async def patch_status(client: Client, pod: JsonObject, patch: JsonObject) -> JsonObject | None:
    """Patch a pod's status and return the pod; None = it is gone, or another pod by now (the informer says so, too).

    Raises:
        ApiError: refused.
    """
    metadata = pod["metadata"]
    try:
        return await client.patch(
            PODS,
            metadata["name"],
            {"metadata": {"uid": metadata["uid"]}, "status": patch},
            patch_type=PatchType.STRATEGIC,
            namespace=metadata["namespace"],
            subresource="status",
        )
    except ApiError as error:
        if error.code in (404, 409) and error.reason in ("NotFound", "Conflict"):
            return None
        raise


def version_of(pod: JsonObject) -> int:
    """Return the resourceVersion as a number, 0 without one."""
    text = str(pod["metadata"].get("resourceVersion") or "0")
    return int(text) if text.isdigit() else 0
