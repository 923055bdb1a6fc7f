"""What a pod asks for (api-machinery §6.2; resource helpers v0.35)."""

from k3py.scheduler.resources import requests_of, scoring_requests_of


def container(cpu, **more):
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}


def test_init_peaks_and_sidecars_count_as_upstream_does():
    spec = {
        "containers": [container("1"), container("500m")],
        "initContainers": [container("100m", restartPolicy="Always"), container("3")],
        "overhead": {"cpu": "10m"},
    }
    assert requests_of({"spec": spec}) == {"cpu": 3110, "pods": 1}


def test_scoring_assumes_a_little_for_containers_that_ask_for_nothing():
    assert scoring_requests_of({"spec": {"containers": [{"name": "c"}]}}) == (100, 200 * 1024 * 1024)


def test_while_a_pod_is_resized_the_greater_counts():
    given = {"name": "c", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "2"}}
    shrinking = {"spec": {"containers": [container("1")]}, "status": {"containerStatuses": [given]}}
    assert requests_of(shrinking)["cpu"] == 2000
    growing = {"spec": {"containers": [container("3")]}, "status": {"containerStatuses": [given]}}
    assert requests_of(growing)["cpu"] == 3000
    growing["status"]["conditions"] = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    assert requests_of(growing)["cpu"] == 2000
