"""Usage between two samples."""

from datetime import UTC, datetime

import pytest

from k3py.addons.metrics_api.usage import Point, Sample, Usage, compare, read_summary

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def sample(taken_s, node, **containers):
    return Sample(
        taken_s=taken_s, time=TIME, node=node, containers={("u", name): point for name, point in containers.items()}
    )


def test_cpu_is_the_difference_over_the_window_and_memory_the_last():
    found = compare(
        sample(10, Point(1_000_000_000, 100), c=Point(0, 50)),
        sample(12, Point(2_000_000_000, 200), c=Point(1_000_000, 60)),
    )
    assert found.window_s == 2
    assert found.node == Usage(500_000_000, 200)
    assert found.containers_of("u") == {"c": Usage(500_000, 60)}
    assert found.containers_of("other") == {}


def test_what_began_anew_or_is_new_is_left_out():
    found = compare(
        sample(10, Point(5, 1), again=Point(9, 1), gone=Point(1, 1)),
        sample(11, Point(5, 1), again=Point(3, 1), new=Point(1, 1)),
    )
    assert found.containers_of("u") == {}
    assert found.node == Usage(0, 1)


@pytest.mark.parametrize(
    ("usage", "document"),
    [
        (Usage(1234, 2048), {"cpu": "1234n", "memory": "2Ki"}),
        (Usage(0, 2049), {"cpu": "0", "memory": "2049"}),
    ],
)
def test_quantities(usage, document):
    assert usage.to_document() == document


def test_summary_is_read_without_containers_that_have_no_figures():
    cpu, memory = {"usageCoreNanoSeconds": 7}, {"workingSetBytes": 8}
    pod = {
        "podRef": {"uid": "u", "name": "p", "namespace": "n"},
        "containers": [
            {"name": "c", "cpu": cpu, "memory": memory},
            {"name": "starting", "cpu": {}, "memory": {"workingSetBytes": 0}},
        ],
    }
    found = read_summary({"node": {"cpu": cpu, "memory": memory}, "pods": [pod]}, taken_s=1.0, time=TIME)
    assert (found.node, found.containers) == (Point(7, 8), {("u", "c"): Point(7, 8)})
    assert read_summary({}, taken_s=1.0, time=TIME).node is None
