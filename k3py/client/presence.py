"""Makes an object that shall be there, also when several servers do so at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.status import ApiError

if TYPE_CHECKING:
    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject


async def ensure_present(client: Client, resource: Resource, wanted: JsonObject) -> JsonObject:
    """Return the object of this name, whatever it says, creating it if there is none.

    Raises:
        ApiError: it can neither be read nor created.
    """
    name, namespace = wanted["metadata"]["name"], wanted["metadata"].get("namespace", "")
    try:
        return await client.get(resource, name, namespace=namespace)
    except ApiError as error:
        if error.code != 404:
            raise
    try:
        return await client.create(resource, wanted, namespace=namespace)
    except ApiError as refused:
        try:  # another server may have been faster; what it made can refuse ours for more reasons than its name
            return await client.get(resource, name, namespace=namespace)
        except ApiError:
            raise refused from None
