"""Which handler answers which subresource or virtual kind: explicit tables, filled by the composition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from k3py.apiserver.interface import Result
    from k3py.apiserver.registry.call import Call


class Handler(Protocol):
    """Answers requests for a subresource, or creates of a kind that is never stored."""

    async def __call__(self, call: Call) -> Result:
        """Answer. Raises ApiError, StorageError."""
