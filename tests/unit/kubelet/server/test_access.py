"""What a request to the kubelet is authorized as (data/kubelet.tsv "server")."""

from __future__ import annotations

import pytest

from k3py.kubelet.server.access import attributes, user_of_certificate


@pytest.mark.parametrize(
    ("method", "path", "upgrade", "verb", "subresources"),
    [
        ("GET", "/stats/summary", "", "get", ("stats",)),
        ("GET", "/metrics/resource", "", "get", ("metrics",)),
        ("GET", "/containerLogs/a/b/c", "", "get", ("proxy",)),
        ("POST", "/exec/a/b/c", "SPDY/3.1", "create", ("proxy",)),
        ("GET", "/exec/a/b/c", "websocket", "create", ("proxy",)),
        ("GET", "/pods", "", "get", ("pods", "proxy")),
        ("GET", "/healthz", "", "get", ("healthz", "proxy")),
        ("GET", "/metricsx", "", "get", ("proxy",)),
    ],
)
def test_requests_are_subresources_of_the_node(method, path, upgrade, verb, subresources):
    assert attributes(method, path, upgrade) == (verb, subresources)


def test_a_certificates_user_is_its_common_name():
    certificate = {"subject": ((("organizationName", "g"),), (("commonName", "u"),))}
    user = user_of_certificate(certificate)
    assert (user.name, user.groups) == ("u", ("g", "system:authenticated"))
