"""LIST of a collection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from k3py.apiserver.interface import ListResult
from k3py.apiserver.registry.conversion import serve_page, split_fields
from k3py.apiserver.registry.selection import list_query

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call


async def list_objects(call: Call) -> ListResult:
    """Return a page. Raises ApiError, StorageError."""
    query = list_query(call)
    fields, own_fields = split_fields(call.kind, call.store, query.fields)
    page = await call.store.list(query if own_fields is None else replace(query, fields=fields))
    return ListResult(kind=call.kind, page=await serve_page(call.kind, call.store, page, own_fields))
