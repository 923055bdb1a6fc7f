"""`wait --for=condition=NAME[=VALUE] | delete | create`: returns when the objects are so; follows a watch, never polls."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from k3py.api.status import ApiError
from k3py.cli.kubectl.json_path import JsonPath, show
from k3py.cli.kubectl.output import qualified_kind
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.client.http import HttpClient
    from k3py.jsontypes import JsonObject


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("wait", parents=[common], help="wait for a condition", allow_abbrev=False)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--for", dest="goal", required=True, metavar="condition=NAME|delete|create")
    parser.add_argument("--all", action="store_true", help="all objects of the type")
    parser.add_argument("--timeout", default="30s", metavar="DURATION", help="such as 30s or 5m")
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Wait for every named object."""
    limit_s = read_duration(options.timeout)
    for resource, name in await session.targets(options.targets):
        namespace = session.namespace_for(resource)
        names = [name]
        if not name:
            if not options.all:
                raise ConfigError("a name or --all must be given")
            found = await session.client.list(resource, namespace=namespace)
            names = [one["metadata"]["name"] for one in found.items]
            if not names:
                raise K3pyError("no matching resources found")
        for one in names:
            if options.goal == "delete":
                await wait_gone(session.client, resource, namespace, one, "", limit_s)
            else:
                if options.goal != "create":
                    await session.client.get(resource, one, namespace=namespace)
                try:
                    await _wait_for(
                        session.client, resource, namespace, one, _read_goal(options.goal), limit_s
                    )
                except K3pyError as error:
                    if options.goal != "create" or not isinstance(error.__cause__, TimeoutError):
                        raise
                    raise K3pyError("timed out waiting for the condition") from error
            print(f"{qualified_kind(resource)}/{one} condition met")
    return 0


def read_duration(text: str) -> float:
    """Read a flag such as 30s, 5m, 1h or 90 (seconds). Raises ConfigError."""
    match = re.fullmatch(r"(\d+)(s|m|h)?", text)
    if match is None:
        raise ConfigError(f"--timeout: {text!r}: must be a duration such as 30s or 5m")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


def _read_goal(text: str) -> Callable[[JsonObject], bool]:
    if text == "create":
        return lambda _: True
    if text.startswith("jsonpath="):
        return _read_path(text.removeprefix("jsonpath="))
    match = re.fullmatch(r"condition=([^=]+)(?:=(.+))?", text)
    if match is None:
        allowed = "condition=NAME, condition=NAME=VALUE, jsonpath={PATH}=VALUE, delete or create"
        raise ConfigError(f"--for: {text!r}: must be {allowed}")
    name, value = match[1].lower(), (match[2] or "true").lower()

    def is_so(obj: JsonObject) -> bool:
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return any(one["type"].lower() == name and one["status"].lower() == value for one in conditions)

    return is_so


def _read_path(text: str) -> Callable[[JsonObject], bool]:
    template, _, value = text.rpartition("}")
    path = JsonPath((template + "}").strip("'"))
    wanted = value.lstrip("'").removeprefix("=")

    def is_so(obj: JsonObject) -> bool:
        found = path.find(obj)
        return bool(found) and (not wanted or show(found[0]) == wanted)

    return is_so


async def wait_gone(
    client: HttpClient, resource: Resource, namespace: str, name: str, uid: str, limit_s: float | None
) -> None:
    """Return when the object (of that uid, "" = any) is gone. Raises K3pyError after `limit_s` seconds."""
    await follow(
        client,
        resource,
        namespace,
        name,
        lambda one: one is None or bool(uid and one["metadata"]["uid"] != uid),
        limit_s,
    )


async def _wait_for(
    client: HttpClient,
    resource: Resource,
    namespace: str,
    name: str,
    is_so: Callable[[JsonObject], bool],
    limit_s: float,
) -> None:
    await follow(client, resource, namespace, name, lambda one: one is not None and is_so(one), limit_s)


async def follow(
    client: HttpClient,
    resource: Resource,
    namespace: str,
    name: str,
    done: Callable[[JsonObject | None], bool],
    limit_s: float | None,
) -> None:
    """Return when `done` says so of the object (None = it is gone). Raises K3pyError after `limit_s` seconds, None = never."""
    selector = f"metadata.name={name}"
    try:
        async with asyncio.timeout(limit_s):
            while True:
                found = await client.list(resource, namespace=namespace, field_selector=selector)
                if done(found.items[0] if found.items else None):
                    return
                try:
                    async with client.watch(
                        resource,
                        namespace=namespace,
                        field_selector=selector,
                        resource_version=found.resource_version,
                    ) as events:
                        async for event in events:
                            if event.type == "BOOKMARK":
                                continue
                            if done(None if event.type == "DELETED" else event.object):
                                return
                except ApiError as error:
                    if error.code != 410:
                        raise
    except TimeoutError as error:
        raise K3pyError(f"timed out waiting for the condition on {resource.plural}/{name}") from error
