"""What is measured about flows; names and labels as upstream's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.util.metrics import Computed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from k3py.apiserver.flow_control.flow_control import FlowControl
    from k3py.apiserver.flow_control.flow_schema import FlowSchema


def flow_metrics(control: FlowControl) -> tuple[Computed, ...]:
    """Return the metrics of a flow control; they are computed when somebody reads them."""

    def by_flow(number: Callable[[FlowSchema], int]) -> Callable[[], Iterable[tuple[tuple[str, ...], float]]]:
        return lambda: [((one.name, one.level), number(one)) for one in control.schemas.values()]

    def rejected() -> Iterable[tuple[tuple[str, ...], float]]:
        for one in control.schemas.values():
            for reason, count in one.rejected.items():
                yield (one.name, one.level, reason), count

    def seats() -> Iterable[tuple[tuple[str, ...], float]]:
        return [((one.name,), one.seats) for one in control.levels.values()]

    prefix, labels = "apiserver_flowcontrol_", ("flow_schema", "priority_level")
    executing, text = by_flow(lambda one: one.executing), "Requests that run, by flow."
    return (
        Computed(
            f"{prefix}dispatched_requests_total",
            "Requests that were let run.",
            labels,
            by_flow(lambda one: one.dispatched),
            kind="counter",
        ),
        Computed(
            f"{prefix}rejected_requests_total",
            "Requests that were refused.",
            (*labels, "reason"),
            rejected,
            kind="counter",
        ),
        Computed(f"{prefix}current_executing_requests", text, labels, executing),
        Computed(
            f"{prefix}current_executing_seats",
            "Seats that are taken, by flow.",
            labels,
            by_flow(lambda one: one.seats),
        ),
        Computed(
            f"{prefix}current_inqueue_requests",
            "Requests that wait, by flow.",
            labels,
            by_flow(lambda one: one.waiting),
        ),
        Computed(f"{prefix}nominal_limit_seats", "Seats of a priority level.", ("priority_level",), seats),
    )
