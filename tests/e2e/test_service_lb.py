"""A Service of type LoadBalancer answers at the node's address."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_service_answers_at_the_nodes_address(server, namespace):
    server.kubectl("-n", namespace, "create", "deployment", "web", "--image=k3py.io/hello:1")
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 8081, "targetPort": 8080}]},
    }
    server.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(service))

    def addresses():
        status = server.get("service", "web", "-n", namespace)["status"]["loadBalancer"]
        return [one["ip"] for one in status.get("ingress") or ()]

    server.until(lambda: addresses() == [server.node.address], what="the node's address in the status")

    def answers():
        ask = ["timeout", "3", "wget", "-q", "-O", "-", f"http://{server.node.address}:8081/"]
        return server.node.run(ask, check=False).stdout

    server.until(answers, what="an answer at the node's address")
