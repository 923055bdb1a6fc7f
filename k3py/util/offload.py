"""Work that would hold up the event loop for more than a few milliseconds: large encodes, key generation, walks over files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


async def offload(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking `function` in a thread and return its result, or raise what it raised.

    When the caller is cancelled the function still runs to its end; it must not touch objects that the event loop changes.
    """
    return await asyncio.to_thread(function, *args, **kwargs)
