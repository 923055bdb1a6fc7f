"""`describe TYPE NAME`: the object as indented fields, and its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.api.resource import EVENTS

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject, JsonValue

_HIDDEN = frozenset(("managedFields", "resourceVersion", "uid"))


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "describe", parents=[common], help="show an object and its events", allow_abbrev=False
    )
    parser.add_argument("targets", nargs="+")
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Describe what is named."""
    for resource, name in await session.targets(options.targets):
        namespace = session.namespace_for(resource)
        if name:
            found = [await session.client.get(resource, name, namespace=namespace)]
        else:
            found = list((await session.client.list(resource, namespace=namespace)).items)
        for obj in found:
            await _describe(session, obj)
    return 0


async def _describe(session: Session, obj: JsonObject) -> None:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _HIDDEN}
    secret = obj.get("kind") == "Secret"
    shown = {**metadata, **{k: v for k, v in obj.items() if k not in ("kind", "apiVersion", "metadata")}}
    if secret:  # sizes, never contents
        for field in ("data", "stringData"):
            if field in shown:
                shown[field] = {key: f"{len(value)} characters" for key, value in shown[field].items()}
    _print(shown, 0)
    events = await session.client.list(
        EVENTS,
        namespace=obj["metadata"].get("namespace", "default"),
        field_selector=f"involvedObject.uid={obj['metadata']['uid']}",
    )
    print("Events:" if events.items else "Events: <none>")
    for event in events.items:
        print(
            f"  {event.get('type', '')}  {event.get('reason', '')}  x{event.get('count') or 1}  {event.get('message', '')}"
        )


def _print(value: JsonValue, depth: int) -> None:
    pad = "  " * depth
    if isinstance(value, dict):
        for key, one in value.items():
            title = f"{key[0].upper()}{key[1:]}" if depth == 0 else key
            if isinstance(one, dict | list) and one:
                print(f"{pad}{title}:")
                _print(one, depth + 1)
            else:
                print(f"{pad}{title}: {'<none>' if one in (None, '', {}, []) else one}")
        return
    for one in value:
        if isinstance(one, dict | list):
            print(f"{pad}-")
            _print(one, depth + 1)
        else:
            print(f"{pad}- {one}")
