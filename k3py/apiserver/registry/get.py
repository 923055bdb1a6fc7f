"""GET of one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.conversion import serve_view
from k3py.apiserver.registry.errors import bad_resource_version

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call


async def get(call: Call) -> ObjectResult:
    """Return the object. Raises ApiError, StorageError."""
    request = call.request
    version = request.options.get("resourceVersion", "")
    if version and not version.isdigit():
        raise bad_resource_version(version)
    view = await call.store.get(call.namespace, request.name, any_cached=version == "0")
    return ObjectResult(kind=call.kind, view=await serve_view(call.kind, call.store, view))
