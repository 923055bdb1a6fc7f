"""The index of APIServices."""

import pytest

from k3py.apiserver.aggregation.api_services import ApiServices
from k3py.apiserver.aggregation.resources import aggregate_resources

KEY = ("", "v1.g.example.com")


def registration(*, service=True, status="True"):
    spec = {"group": "g.example.com", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}
    if service:
        spec["service"] = {"namespace": "n", "name": "s", "port": 8443}
    return {
        "metadata": {"name": KEY[1], "uid": "u"},
        "spec": spec,
        "status": {"conditions": [{"type": "Available", "status": status}]},
    }


def test_remote_ones_come_change_and_go():
    services, told = ApiServices(), []
    services.subscribe(told.append)
    services.handle(KEY, registration(status="False"))
    found = services.find_remote("g.example.com", "v1")
    assert (found.service.host, found.service.port, found.available) == ("s.n.svc", 8443, False)
    before = services.generation
    services.handle(KEY, registration())
    assert services.find_remote("g.example.com", "v1").available
    assert services.generation > before
    services.handle(KEY, registration(service=False))
    assert not services.has_remotes
    services.handle(KEY, None)
    assert (list(services), told) == ([], [KEY[1]] * 4)


def test_local_ones_do_not_change_discovery():
    services = ApiServices()
    services.handle(KEY, registration(service=False))
    assert (services.generation, services.has_remotes) == (0, False)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"resources": "x"},
        {"resources": [1, {"name": 5, "verbs": 7, "shortNames": "ab", "kind": None, "namespaced": "yes"}]},
    ],
)
def test_nonsense_of_other_servers_is_kept_out_of_discovery(document):
    services = ApiServices()
    services.handle(KEY, registration())
    one = services.find_remote("g.example.com", "v1")
    services.keep_resources(one, document)
    for resource in aggregate_resources(one.group, one.version, services.list_resources(one)):
        assert resource["verbs"] == []
    services.list_foreign()
