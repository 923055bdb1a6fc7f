"""A namespace for a benchmark's objects, which goes with all of them at its end."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.api.resource import NAMESPACES, NODES, SERVICE_ACCOUNTS
from k3py.api.status import ApiError
from k3py.cli.kubectl.wait import follow
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.client.http import HttpClient
    from k3py.client.kubeconfig import Kubeconfig

_ACCOUNT_S = 60.0


@dataclass(frozen=True, slots=True)
class Workspace:
    """client: of the cluster; name: of the namespace; config: how to reach it."""

    client: HttpClient
    name: str
    config: Kubeconfig


@asynccontextmanager
async def workspace(config: Kubeconfig) -> AsyncIterator[Workspace]:
    """Make the namespace, with its default account where controllers run, and delete it at the end. Raises ApiError."""
    async with config.make_client(user_agent="k3py-bench") as client:
        name = f"k3py-bench-{secrets.token_hex(3)}"
        await client.create(NAMESPACES, {"metadata": {"name": name}})
        try:
            yield Workspace(client, name, config)
        finally:
            await client.delete(NAMESPACES, name)


async def wait_for_account(space: Workspace) -> None:
    """Return when pods can be created. Raises K3pyError."""
    await follow(
        space.client, SERVICE_ACCOUNTS, space.name, "default", lambda one: one is not None, _ACCOUNT_S
    )


async def find_image(client: HttpClient) -> str:
    """Return the image of pod sandboxes, which every node has: a program that does nothing.

    Raises:
        K3pyError: no node says that it has one.
    """
    try:
        nodes = (await client.list(NODES)).items
    except ApiError as error:
        raise K3pyError(f"nodes cannot be listed: {error.message}") from error
    for node in nodes:
        for image in node["status"].get("images") or ():
            for name in image.get("names") or ():
                if "pause" in name and "@" not in name:
                    return str(name)
    raise K3pyError("no node names an image of pod sandboxes; name an image that is there with --image")
