"""A small metrics registry in Prometheus' text format: counters, gauges and histograms with labels.

One owner (the server) holds a `Registry`; there is no global. Label values are given in the order of the metric's label names.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metric(Protocol):
    """Something that writes its samples."""

    name: str

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the text format, HELP and TYPE first."""


class Counter:
    """A number that only goes up, one a combination of label values."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, *values: str, amount: float = 1) -> None:
        """Count up."""
        self._values[values] = self._values.get(values, 0) + amount

    def get(self, *values: str) -> float:
        """Return the present value."""
        return self._values.get(values, 0)

    def iter_lines(self) -> Iterator[str]:
        """Yield the text format."""
        yield from _head(self.name, self._help, self.kind)
        for values, number in self._values.items():
            yield f"{self.name}{_label_text(self._labels, values)} {_number(number)}"


class Gauge(Counter):
    """A number that goes up and down."""

    kind = "gauge"

    def set(self, *values: str, to: float) -> None:
        """Set the value."""
        self._values[values] = to


class Histogram:
    """Counts observations in buckets, whose upper bounds are given in ascending order."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), *, buckets: Sequence[float]
    ) -> None:
        self.name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._bounds = tuple(buckets)
        self._values: dict[tuple[str, ...], list[float]] = {}

    def observe(self, number: float, *values: str) -> None:
        """Add an observation."""
        cells = self._values.get(values)
        if cells is None:
            cells = self._values[values] = [0.0] * (len(self._bounds) + 2)  # buckets, +Inf, sum
        cells[bisect_left(self._bounds, number)] += 1
        cells[-1] += number

    def iter_lines(self) -> Iterator[str]:
        """Yield the text format."""
        yield from _head(self.name, self._help, "histogram")
        for values, cells in self._values.items():
            total = 0.0
            for bound, cell in zip((*self._bounds, None), cells, strict=False):
                total += cell
                text = "+Inf" if bound is None else _number(bound)
                labels = _label_text((*self._labels, "le"), (*values, text))
                yield f"{self.name}_bucket{labels} {_number(total)}"
            labels = _label_text(self._labels, values)
            yield f"{self.name}_sum{labels} {_number(cells[-1])}"
            yield f"{self.name}_count{labels} {_number(total)}"


class Computed:
    """Samples that are made when somebody reads: `samples` yields label values and number."""

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        samples: Callable[[], Iterable[tuple[tuple[str, ...], float]]],
        *,
        kind: str = "gauge",
    ) -> None:
        self.name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._samples = samples
        self._kind = kind

    def iter_lines(self) -> Iterator[str]:
        """Yield the text format."""
        yield from _head(self.name, self._help, self._kind)
        for values, number in self._samples():
            yield f"{self.name}{_label_text(self._labels, values)} {_number(number)}"


class Registry:
    """All metrics of a process, written in the order of their names.

    parts: metrics that are shown elsewhere, by path.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._refreshers: list[Callable[[], Awaitable[None]]] = []
        self.parts: dict[str, Registry] = {}

    def add_refresher(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Call `refresh()` before somebody reads, for figures that have to be fetched."""
        self._refreshers.append(refresh)

    async def read(self) -> str:
        """Return the text format, after everything was refreshed."""
        for refresh in self._refreshers:
            await refresh()
        return self.to_text()

    def add(self, *metrics: Metric) -> None:
        """Add metrics; a later one replaces an earlier one of its name."""
        for metric in metrics:
            self._metrics[metric.name] = metric

    def to_text(self) -> str:
        """Return the text format."""
        lines = [line for _, metric in sorted(self._metrics.items()) for line in metric.iter_lines()]
        return "\n".join((*lines, ""))


def process_metrics(stats: Callable[[], Mapping[str, float]]) -> tuple[Metric, ...]:
    """Return the process_* metrics; `stats` gives cpu_s, resident_bytes, virtual_bytes, open_fds, max_fds, start_s, written_bytes."""

    def one(key: str) -> Callable[[], Iterable[tuple[tuple[str, ...], float]]]:
        return lambda: [((), stats()[key])]

    return (
        Computed("process_cpu_seconds_total", "CPU time used.", (), one("cpu_s"), kind="counter"),
        Computed("process_resident_memory_bytes", "Resident memory.", (), one("resident_bytes")),
        Computed("process_virtual_memory_bytes", "Virtual memory.", (), one("virtual_bytes")),
        Computed("process_open_fds", "Open file descriptors.", (), one("open_fds")),
        Computed("process_max_fds", "Most file descriptors.", (), one("max_fds")),
        Computed("process_start_time_seconds", "Start, since the epoch.", (), one("start_s")),
        Computed(
            "k3py_process_written_bytes_total",
            "Bytes sent to disks.",
            (),
            one("written_bytes"),
            kind="counter",
        ),
    )


def _head(name: str, help_text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"


def _label_text(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + pairs + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
