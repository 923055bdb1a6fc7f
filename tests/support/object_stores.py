"""Short names for what tests of the seam `Store` do again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from k3py.storage.interface import Deleted
from tests.support.kinds import widget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from k3py.storage.interface import ObjectView, Store, WatchItem


def names(items: Iterable[ObjectView]) -> list[str]:
    """Return the names of objects."""
    return [view.name for view in items]


async def change_to(store: Store, name: str, namespace: str = "default", **keys: Any) -> Any:
    """Set some top-level fields of an object."""

    async def change(view: ObjectView) -> Any:
        return {**view.parsed, **keys}

    return await store.update(namespace, name, change)


async def remove(store: Store, name: str, namespace: str = "default") -> Any:
    """Delete an object."""

    async def change(_view: ObjectView) -> Deleted:
        return Deleted()

    return await store.update(namespace, name, change)


async def take(events: AsyncIterator[Sequence[WatchItem]], count: int) -> list[WatchItem]:
    """Wait for `count` items and no more."""
    items: list[WatchItem] = []
    async with asyncio.timeout(2):
        while len(items) < count:
            items += await anext(events)
    assert len(items) == count
    return items


async def fill(store: Store, *keys: str) -> None:
    """Create widgets by "namespace/name"."""
    for key in keys:
        namespace, _, name = key.partition("/")
        await store.create(widget(name, namespace))
