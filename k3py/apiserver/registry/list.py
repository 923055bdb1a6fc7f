"""LIST of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.interface import ListResult
from k3py.apiserver.registry.conversion import serve_page
from k3py.apiserver.registry.selection import list_query

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call


async def list_objects(call: Call) -> ListResult:
    """Return a page. Raises ApiError, StorageError."""
    page = await call.store.list(list_query(call))
    return ListResult(kind=call.kind, page=await serve_page(call.kind, call.store, page))
