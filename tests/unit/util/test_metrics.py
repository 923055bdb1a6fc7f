"""Metrics in Prometheus' text format."""

from __future__ import annotations

from k3py.util.metrics import Computed, Counter, Gauge, Histogram, Registry


def test_counters_gauges_and_computed_samples_in_the_order_of_names():
    registry = Registry()
    requests, level = Counter("b_total", "Requests.", ("code",)), Gauge("a", "Level.")
    registry.add(requests, level, Computed("c", "Made.", ("x",), lambda: [(("1",), 2.5)]))
    requests.add("200")
    requests.add("200", amount=2)
    requests.add('4"0\n')
    level.set(to=-1)
    assert registry.to_text() == (
        "# HELP a Level.\n# TYPE a gauge\na -1\n"
        '# HELP b_total Requests.\n# TYPE b_total counter\nb_total{code="200"} 3\nb_total{code="4\\"0\\n"} 1\n'
        '# HELP c Made.\n# TYPE c gauge\nc{x="1"} 2.5\n'
    )


def test_histogram_counts_up_to_each_bound():
    registry = Registry()
    seconds = Histogram("s", "Seconds.", ("verb",), buckets=(0.1, 1))
    registry.add(seconds)
    for number in (0.05, 0.1, 0.5, 7):
        seconds.observe(number, "GET")
    assert registry.to_text().splitlines()[2:] == [
        's_bucket{verb="GET",le="0.1"} 2',
        's_bucket{verb="GET",le="1"} 3',
        's_bucket{verb="GET",le="+Inf"} 4',
        's_sum{verb="GET"} 7.65',
        's_count{verb="GET"} 4',
    ]
