"""Work on large objects, which takes long enough to be noticed by everybody else on the event loop, in a thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE_BYTES: Final = 64 * 1024
P = ParamSpec("P")
T = TypeVar("T")


async def run_sized(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a pure `function` that works on `size` bytes of JSON: in a thread when these are many."""
    if size > LARGE_BYTES:
        return await offload(function, *args, **kwargs)
    return function(*args, **kwargs)


async def give_turn(size: int) -> None:
    """Let others run between two steps of work on `size` bytes of JSON, when these are many."""
    if size > LARGE_BYTES:
        await asyncio.sleep(0)
