"""The status subresource: the same object, of which only the status is written. Source: registries' StatusREST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.registry.get import get
from k3py.apiserver.registry.patch import patch_part
from k3py.apiserver.registry.update import update_part
from k3py.apiserver.registry.updating import status_part

if TYPE_CHECKING:
    from k3py.apiserver.interface import ObjectResult
    from k3py.apiserver.registry.call import Call


async def handle_status(call: Call) -> ObjectResult:
    """Answer get, update or patch. Raises ApiError, StorageError."""
    match call.request.verb:
        case "get":
            return await get(call)
        case "update":
            return await update_part(call, status_part(call.kind.strategy))
    return await patch_part(call, status_part(call.kind.strategy))
