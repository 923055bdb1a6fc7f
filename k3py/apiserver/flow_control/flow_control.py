"""Finds the flow of each request and lets it run, wait, or go away (429).

Source: k8s.io/apiserver/pkg/util/flowcontrol and pkg/server/filters/priority-and-fairness.go v0.35.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from k3py.api.flow_control import CATCH_ALL, EXEMPT, fixed_level_spec, fixed_schema_spec
from k3py.apiserver.filters.request_info import READ_VERBS
from k3py.apiserver.flow_control.flow_schema import FlowSchema
from k3py.apiserver.flow_control.priority_level import PriorityLevel
from k3py.apiserver.flow_control.work import is_list, most_seats, seats_of_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.api.user import User
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.jsontypes import JsonObject

FLOW_CONTROL_GROUP: Final = "flowcontrol.apiserver.k8s.io"
MOST_WAIT_S: Final = 15.0
_MEMORY: Final = 1024
_NONE: Final[Mapping[str, str]] = MappingProxyType({})

_Key = tuple[str, tuple[str, ...], str, str, str]


def _unknown(_info: RequestInfo) -> int | None:
    return None


class Overloaded(Exception):
    """The request is refused: 429, try again in a second."""


class Seat:
    """A running request's place; `leave` gives it back, once."""

    __slots__ = ("_control", "_left", "level", "reading", "schema", "width")

    def __init__(
        self, control: FlowControl, schema: FlowSchema, level: PriorityLevel, *, reading: bool, width: int
    ) -> None:
        self._control = control
        self._left = False
        self.schema = schema
        self.level = level
        self.reading = reading
        self.width = width

    def leave(self) -> None:
        """Give the place back; a second time does nothing."""
        if not self._left:
            self._left = True
            self._control.leave(self)


class FlowControl:
    """All schemas and levels.

    Args:
        most_reading, most_mutating: their sum is shared out among the priority levels.
        most_wait_s: who waits so long in a queue is refused.
        count_stored: how many objects a request's collection has; None: nobody knows, and a list takes one seat.

    Attributes:
        reading, mutating: requests that run.
    """

    def __init__(
        self,
        *,
        most_reading: int = 400,
        most_mutating: int = 200,
        most_wait_s: float = MOST_WAIT_S,
        count_stored: Callable[[RequestInfo], int | None] = _unknown,
    ) -> None:
        self._total = most_reading + most_mutating
        self._count_stored = count_stored
        self._most_wait_s = most_wait_s
        self.reading = self.mutating = 0
        self._schemas: dict[str, FlowSchema] = {}
        self._levels: dict[str, PriorityLevel] = {}
        self._order: list[FlowSchema] = []
        self._found: dict[_Key, FlowSchema] = {}
        for name in (EXEMPT, CATCH_ALL):
            self._put_fixed(name)
        self._settle()

    @property
    def levels(self) -> Mapping[str, PriorityLevel]:
        """All priority levels by name."""
        return self._levels

    @property
    def schemas(self) -> Mapping[str, FlowSchema]:
        """All flow schemas by name."""
        return self._schemas

    def handlers(self) -> dict[tuple[str, str], Callable[[tuple[str, str], JsonObject | None], None]]:
        """Return what keeps this up to date, by (group, plural)."""
        return {
            (FLOW_CONTROL_GROUP, "flowschemas"): self.handle_schema,
            (FLOW_CONTROL_GROUP, "prioritylevelconfigurations"): self.handle_level,
        }

    def handle_schema(self, key: tuple[str, str], document: JsonObject | None) -> None:
        """Take in a FlowSchema; None = it is gone."""
        name = key[1]
        older = self._schemas.pop(name, None)
        if document is not None:
            newer = self._schemas[name] = FlowSchema(document)
            if older is not None:
                newer.dispatched, newer.rejected = older.dispatched, older.rejected
        elif fixed_schema_spec(name) is not None:
            self._put_fixed(name)
        self._settle()

    def handle_level(self, key: tuple[str, str], document: JsonObject | None) -> None:
        """Take in a PriorityLevelConfiguration; None = it is gone (its requests run on)."""
        name = key[1]
        older = self._levels.pop(name, None)
        if document is not None:
            newer = self._levels[name] = PriorityLevel(document)
            if older is not None and older.uid == newer.uid:
                newer.take_over(older)
                older = None
        elif name in (EXEMPT, CATCH_ALL):
            self._put_fixed(name)
        if older is not None:
            while (turn := older.next()) is not None:
                turn.cancel()  # they are refused and come again, to another level
        self._settle()

    async def enter(self, user: User, info: RequestInfo, options: Mapping[str, str] = _NONE) -> Seat:
        """Wait for the request's turn; `options` are its query's.

        Raises:
            Overloaded: its queue is full, there is none, or it waited too long.
        """
        schema = self._find(user, info)
        level = self._levels[schema.level]
        width = self._width(level, info, options)
        if level.is_waiting or not self._may_run(level, width):
            await self._wait(schema, level, f"{schema.name}\0{schema.flow_of(user, info)}", width)
        else:
            level.executing += width
        schema.dispatched += 1
        schema.executing += 1
        schema.seats += width
        reading = info.verb in READ_VERBS
        if reading:
            self.reading += 1
        else:
            self.mutating += 1
        return Seat(self, schema, level, reading=reading, width=width)

    def _width(self, level: PriorityLevel, info: RequestInfo, options: Mapping[str, str]) -> int:
        if level.exempt or not is_list(info, options):
            return 1
        stored = self._count_stored(info)
        return 1 if stored is None else seats_of_list(stored, options, most=most_seats(level.seats))

    def leave(self, seat: Seat) -> None:
        """Take a place back and give it to who waits."""
        seat.schema.executing -= 1
        seat.schema.seats -= seat.width
        if seat.reading:
            self.reading -= 1
        else:
            self.mutating -= 1
        self._free(seat.level, seat.width)

    async def _wait(self, schema: FlowSchema, level: PriorityLevel, flow: str, width: int) -> None:
        turn = level.join(flow, width)
        if turn is None:
            raise self._refuse(schema, "queue-full" if level.is_waiting else "concurrency-limit")
        schema.waiting += 1
        try:
            async with asyncio.timeout(self._most_wait_s):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.done() and not turn.cancelled():
                self._free(level, width)  # the turn came at the same moment
            elif turn.cancelled() and not isinstance(error, TimeoutError) and not _is_cancelled():
                raise self._refuse(schema, "cancelled") from error  # the level is gone
            level.leave(turn)
            if isinstance(error, TimeoutError):
                raise self._refuse(schema, "time-out") from error
            raise
        finally:
            schema.waiting -= 1

    def _free(self, level: PriorityLevel, width: int) -> None:
        current = self._levels.get(level.name)
        if current is None or current.uid != level.uid:
            level.executing -= width  # its level is gone
            return
        current.executing -= width
        self._let_in(current)
        if current.executing < current.seats or current.exempt:
            for other in self._levels.values():  # a seat that was lent, or may be
                if other.is_waiting:
                    self._let_in(other)

    def _let_in(self, level: PriorityLevel) -> None:
        while (turn := level.first()) is not None and self._may_run(level, turn.width):
            _ = level.next()
            level.executing += turn.width
            turn.set_result(None)

    def _may_run(self, level: PriorityLevel, width: int) -> bool:
        if level.exempt or level.executing + width <= level.seats:
            return True
        if not level.executing:
            width = 1  # it takes more than there are: alone it may
        if level.executing + width > level.seats + level.borrowable:
            return False
        others = sum(one.reserved for one in self._levels.values() if not one.exempt and one is not level)
        return others + max(level.executing + width, level.reserved) <= self._total

    def _find(self, user: User, info: RequestInfo) -> FlowSchema:
        where = (
            f"{info.group}/{info.resource}/{info.subresource}" if info.is_resource else f"\0{info.path[:256]}"
        )
        key = (user.name, user.groups, info.verb, where, info.namespace)
        found = self._found.get(key)
        if found is None:
            found = next((one for one in self._order if one.matches(user, info)), self._schemas[CATCH_ALL])
            if len(self._found) >= _MEMORY:
                self._found.clear()
            self._found[key] = found
        return found

    def _refuse(self, schema: FlowSchema, reason: str) -> Overloaded:
        schema.rejected[reason] = schema.rejected.get(reason, 0) + 1
        return Overloaded()

    def _put_fixed(self, name: str) -> None:
        schema, level = fixed_schema_spec(name), fixed_level_spec(name) or {"type": "Exempt", "exempt": {}}
        if schema is not None:
            self._schemas.setdefault(name, FlowSchema({"metadata": {"name": name}, "spec": schema}))
        self._levels.setdefault(name, PriorityLevel({"metadata": {"name": name}, "spec": level}))

    def _settle(self) -> None:
        """Order the schemas whose level is there, and share out the seats."""
        present = (one for one in self._schemas.values() if one.level in self._levels)
        self._order = sorted(present, key=lambda one: one.order)
        self._found.clear()
        shares = sum(one.shares for one in self._levels.values())
        for level in self._levels.values():
            level.size(self._total, shares)
        for level in self._levels.values():
            self._let_in(level)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
