"""DELETE of all objects of a collection that match.

Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go (DeleteCollection) v0.35.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from k3py.apiserver.interface import ListResult
from k3py.apiserver.registry.conversion import serve_page, split_fields
from k3py.apiserver.registry.delete import delete_object, warn_of_orphans
from k3py.apiserver.registry.options import delete_options
from k3py.apiserver.registry.selection import list_query
from k3py.storage.errors import ObjectNotFound
from k3py.util.turns import Turns

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call


async def delete_collection(call: Call) -> ListResult:
    """Delete what matches and return it as it was. Raises ApiError, StorageError."""
    options = delete_options(call.request)
    warn_of_orphans(call, options)
    query = list_query(call)
    fields, own_fields = split_fields(call.kind, call.store, query.fields)
    stored = await call.store.list(query if own_fields is None else replace(query, fields=fields))
    page = await serve_page(call.kind, call.store, stored, own_fields)
    turns = Turns()
    for view in page.items:
        await turns.take()
        try:
            await delete_object(call, view.name, options, namespace=view.namespace)
        except ObjectNotFound:
            continue  # gone in the meantime, which is what was wanted
    return ListResult(kind=call.kind, page=page)
