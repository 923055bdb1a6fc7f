"""Node passwords: the first machine that joins under a name keeps it, until the node is deleted (J-50 to J-55).

A Secret `<node>.node-password.k3py` in kube-system holds a salted scrypt hash; it belongs to the Node object, and goes with it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES, SECRETS
from k3py.api.status import ApiError, forbidden
from k3py.client.presence import ensure_present

if TYPE_CHECKING:
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

_NAMESPACE: Final = "kube-system"
_KEY: Final = "hash"
_COST, _BLOCK, _PARALLEL = 2**12, 8, 1  # 4 MB: the password is random, so a guess costs enough


def hash_password(password: str, salt: bytes = b"") -> str:
    """Return `$1:<salt>:<cost>:<block>:<parallel>:<hash>`; blocking, some ten milliseconds."""
    salt = salt or secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, dklen=64)
    parts = (salt.hex(), str(_COST), str(_BLOCK), str(_PARALLEL), base64.b64encode(digest).decode())
    return "$1:" + ":".join(parts)


def matches(password: str, stored: str) -> bool:
    """Say whether `password` is the one that was hashed; blocking. A malformed hash matches nothing."""
    parts = stored.split(":")
    if len(parts) != 6 or parts[0] != "$1":
        return False
    try:
        salt = bytes.fromhex(parts[1])
    except ValueError:
        return False
    return secrets.compare_digest(hash_password(password, salt), stored)


class NodePasswords:
    """Checks and remembers node passwords through the API.

    Args:
        client: acts with rights on Secrets of kube-system and Nodes.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def check(self, node_name: str, password: str) -> None:
        """Let the node in under this name, or refuse.

        Raises:
            ApiError: 403 the name belongs to another machine; others as the API answers.
        """
        name = f"{node_name}.node-password.k3py"
        try:
            found = await self._client.get(SECRETS, name, namespace=_NAMESPACE)
        except ApiError as error:
            if error.code != 404:
                raise
            other = await self._remember(name, node_name, password)
            if other is None:
                return
            found = other
        stored = base64.b64decode((found.get("data") or {}).get(_KEY, "")).decode(errors="replace")
        if not await asyncio.to_thread(matches, password, stored):
            raise forbidden(
                "",
                "nodes",
                node_name,
                "the name belongs to another machine; delete the node first, or join with --with-node-id",
            )

    async def has_node(self, node_name: str) -> bool:
        """Say whether a Node object of this name is there. Raises ApiError."""
        try:
            await self._client.get(NODES, node_name)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    async def _remember(self, name: str, node_name: str, password: str) -> JsonObject | None:
        """Write the password down; return the Secret that another server has written meanwhile, None = there is none."""
        digest = await asyncio.to_thread(hash_password, password)
        metadata: dict[str, object] = {"name": name, "namespace": _NAMESPACE}
        try:
            node = await self._client.get(NODES, node_name)
            owner = {"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node["metadata"]["uid"]}
            metadata["ownerReferences"] = [owner]
        except ApiError as error:
            if error.code != 404:  # the node registers after this
                raise
        secret = {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": metadata,
            "type": "Opaque",
            "immutable": True,
            "data": {_KEY: base64.b64encode(digest.encode()).decode()},
        }
        found = await ensure_present(self._client, SECRETS, secret)
        return None if found.get("data") == secret["data"] else found
