"""Paths become verbs, resources and names as upstream's requestinfo.go says."""

from __future__ import annotations

import pytest

from k3py.apiserver.filters.request_info import parse_request_info


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/pods", ("list", "", "v1", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces/d/pods", ("list", "", "v1", "pods", "", "d", "")),
        ("GET", "/api/v1/namespaces/d/pods/p", ("get", "", "v1", "pods", "", "d", "p")),
        ("HEAD", "/api/v1/namespaces/d/pods/p", ("get", "", "v1", "pods", "", "d", "p")),
        ("POST", "/api/v1/namespaces/d/pods", ("create", "", "v1", "pods", "", "d", "")),
        ("POST", "/api/v1/namespaces/d/pods/p/eviction", ("create", "", "v1", "pods", "eviction", "d", "p")),
        ("PUT", "/apis/apps/v1/namespaces/d/deployments/w/status", ("update", "apps", "v1", "deployments", "status", "d", "w")),
        ("PATCH", "/api/v1/nodes/n", ("patch", "", "v1", "nodes", "", "", "n")),
        ("DELETE", "/api/v1/namespaces/d/pods", ("deletecollection", "", "v1", "pods", "", "d", "")),
        ("DELETE", "/api/v1/namespaces/d/pods/p", ("delete", "", "v1", "pods", "", "d", "p")),
        ("GET", "/api/v1/namespaces", ("list", "", "v1", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/d", ("get", "", "v1", "namespaces", "", "d", "d")),
        ("PUT", "/api/v1/namespaces/d/finalize", ("update", "", "v1", "namespaces", "finalize", "d", "d")),
        ("GET", "/api/v1/watch/pods", ("watch", "", "v1", "pods", "", "", "")),
        ("GET", "/api/v1/watch/namespaces/d/pods/p", ("watch", "", "v1", "pods", "", "d", "p")),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", ("get", "rbac.authorization.k8s.io", "v1", "clusterroles", "", "", "system:node")),
    ],
)  # fmt: skip
def test_resource_paths(method, path, expected):
    info = parse_request_info(method, path)
    assert info.is_resource
    assert (
        info.verb,
        info.group,
        info.version,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
    ) == expected


def test_watch_parameter_makes_a_list_a_watch_and_leaves_a_get_alone():
    assert parse_request_info("GET", "/api/v1/pods", watch=True).verb == "watch"
    assert parse_request_info("GET", "/api/v1/namespaces/d/pods/p", watch=True).verb == "get"


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/version/"]
)
def test_non_resource_paths(path):
    info = parse_request_info("GET", path)
    assert not info.is_resource
    assert (info.verb, info.path) == ("get", path)


@pytest.mark.parametrize(
    ("path", "watch", "expected"),
    [
        ("/api/v1/pods", True, True),
        ("/api/v1/pods", False, False),
        ("/api/v1/namespaces/d/pods/p/log", False, True),
        ("/api/v1/namespaces/d/pods/p/exec", False, True),
        ("/api/v1/namespaces/d/pods/p/status", False, False),
        ("/healthz", False, False),
    ],
)
def test_what_may_take_for_ever(path, watch, expected):
    assert parse_request_info("GET", path, watch=watch).is_long_running is expected
