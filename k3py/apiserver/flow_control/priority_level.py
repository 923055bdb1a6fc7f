"""A priority level: how many of its requests run, and the queues of those that wait.

Source: k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing/queueset v0.35 and its KEP 1040: flows are shuffle-sharded over queues, queues
take turns. Here seats are borrowed at the moment they are needed.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_DEFAULT_SHARES: Final = 30
_HASH_BYTES: Final = 16


class Turn(asyncio.Future[None]):
    """What a request waits for that takes `width` seats; its result is the turn."""

    width = 1


class PriorityLevel:
    """A parsed PriorityLevelConfiguration with what runs and waits of it.

    Attributes:
        name, uid: its own.
        exempt: its requests never wait.
        shares: its part of the server's seats.
        seats: how many of them that is; set by `FlowControl`.
        lendable: seats of these that others may use; borrowable: seats of others that it may use, inf = all.
        executing: seats of the requests that run; they may outlive the level's place in the table.
    """

    __slots__ = (
        "_borrow_share",
        "_hand",
        "_lend_share",
        "_longest",
        "_queue_count",
        "_queues",
        "borrowable",
        "executing",
        "exempt",
        "lendable",
        "name",
        "seats",
        "shares",
        "uid",
    )

    def __init__(self, document: JsonObject) -> None:
        spec, metadata = document["spec"], document["metadata"]
        self.name: str = metadata["name"]
        self.uid: str = metadata.get("uid", "")
        self.exempt = spec.get("type") == "Exempt"
        settings = spec.get("exempt" if self.exempt else "limited") or {}
        self.shares: int = settings.get("nominalConcurrencyShares", 0 if self.exempt else _DEFAULT_SHARES)
        self._lend_share = settings.get("lendablePercent", 0) / 100
        borrow = settings.get("borrowingLimitPercent")
        self._borrow_share = math.inf if borrow is None else borrow / 100
        queuing = (settings.get("limitResponse") or {}).get("queuing")
        self._queue_count: int = queuing.get("queues", 64) if queuing else 0
        self._hand: int = queuing.get("handSize", 8) if queuing else 0
        self._longest: int = queuing.get("queueLengthLimit", 50) if queuing else 0
        # Queues with somebody in them, the one whose turn it is first.
        self._queues: OrderedDict[int, deque[Turn]] = OrderedDict()
        self.seats = self.lendable = self.executing = 0
        self.borrowable = 0.0

    def take_over(self, older: PriorityLevel) -> None:
        """Go on with the requests of an older version of this level."""
        self.executing = older.executing
        self._queues = older._queues

    def size(self, total: int, all_shares: int) -> None:
        """Compute the seats from the server's."""
        self.seats = math.ceil(total * self.shares / all_shares) if all_shares else 0
        self.lendable = round(self.seats * self._lend_share)
        self.borrowable = self._borrow_share * self.seats if self.seats else 0.0

    @property
    def reserved(self) -> int:
        """Return the seats that others cannot have now."""
        return max(self.executing, self.seats - self.lendable)

    @property
    def is_waiting(self) -> bool:
        """Say whether anybody waits."""
        return bool(self._queues)

    def join(self, flow: str, width: int = 1) -> Turn | None:
        """Queue up for `width` seats; the result of the future is the turn. None: the queues are full, or there are none."""
        if not self._queue_count:
            return None
        index = min(self._deal(flow), key=self._length)
        if self._length(index) >= self._longest:
            return None
        turn = Turn()
        turn.width = width
        self._queues.setdefault(index, deque()).append(turn)
        return turn

    def first(self) -> Turn | None:
        """Return the next that waits, who stays in the queue. None: nobody."""
        while self._queues:
            index, queue = next(iter(self._queues.items()))
            while queue and queue[0].done():
                _ = queue.popleft()
            if queue:
                return queue[0]
            del self._queues[index]
        return None

    def next(self) -> Turn | None:
        """Take the next that waits out of the queue; queues take turns. None: nobody."""
        turn = self.first()
        if turn is None:
            return None
        index, queue = self._queues.popitem(last=False)
        _ = queue.popleft()
        if queue:
            self._queues[index] = queue
        return turn

    def leave(self, turn: Turn) -> None:
        """Give up waiting."""
        for index, queue in self._queues.items():
            if turn in queue:
                queue.remove(turn)
                if not queue:
                    del self._queues[index]
                return

    def _length(self, index: int) -> int:
        queue = self._queues.get(index)
        return len(queue) if queue is not None else 0

    def _deal(self, flow: str) -> list[int]:
        """Return the hand of queues of a flow: always the same, and seldom the same as another's."""
        value = int.from_bytes(hashlib.blake2b(flow.encode(), digest_size=_HASH_BYTES).digest(), "big")
        hand: list[int] = []
        for taken in range(min(self._hand, self._queue_count)):
            value, card = divmod(value, self._queue_count - taken)
            for other in sorted(hand):
                card += card >= other
            hand.append(card)
        return hand
