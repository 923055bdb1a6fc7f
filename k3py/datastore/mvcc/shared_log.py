"""The seam between the multi-version core and a driver whose database several k3py servers may write.

Each commit, of changes or only of leases, has a *serial*; the next one must name it. So a server may evaluate writes without a lock:
when somebody committed in between, `append` raises `Overtaken` and the server learns those changes first, the second time holding
the lock. Revisions are thereby given out under a lock that is held to the commit: dense, in commit order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from k3py.datastore.errors import DatastoreError, Unavailable
from k3py.datastore.mvcc.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from k3py.datastore.interface import Revision
    from k3py.datastore.mvcc.log import Lease, LogPage


class Overtaken(DatastoreError):
    """Another server committed meanwhile; nothing was written."""


class OutcomeUnknown(Unavailable):
    """The connection was lost while a commit was under way; `SharedLog.resolve` tells whether it happened."""


@dataclass(frozen=True, slots=True)
class SharedState:
    """What the database says now; `leases` is None when they are as in the state that was built on last. `serials`: the driver's."""

    revision: Revision
    compact_revision: Revision
    leases: tuple[Lease, ...] | None
    serials: tuple[int, int]


class SharedLog(Log, Protocol):
    """A `Log` that others write too.

    `append` differs: it raises Overtaken, also for an empty commit, when somebody committed behind the state given to `build_on` or
    the last `append`; OutcomeUnknown when it cannot know; any other error means that nothing was written.
    `range` and `events` raise Compacted by themselves: another server may have moved the line.
    """

    async def refresh(self) -> SharedState:
        """Read the state."""

    def build_on(self, state: SharedState) -> None:
        """Have the next `append` be valid only if nobody committed behind `state`, which the caller has learned completely."""

    async def latest_revision(self) -> Revision:
        """Read the newest committed revision; changes nothing here."""

    def locked(self) -> AbstractAsyncContextManager[SharedState]:
        """Hold the lock that commits take, from a fresh state on to the next `append` (or the end of the block)."""

    async def learn(self, after: Revision, limit: int) -> LogPage:
        """Read changes of all keys behind `after` and take them into what is remembered of current rows."""

    async def resolve(self) -> bool:
        """Make sure that the last `append` does not happen any more, and return whether it did happen."""

    async def restore_order(self, beyond: Revision) -> None:
        """Continue behind revision `beyond`, which was given out before the database was set back; nothing before is readable."""

    async def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever another server may have committed, until cancelled."""
