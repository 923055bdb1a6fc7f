"""Custom resources among controllers: owners and dependents, namespaces that go, kinds that come back in another form."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


def definition(name: str, **properties: object) -> str:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": properties}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return json.dumps(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{name}s.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": f"{name}s", "kind": name.capitalize()},
                "versions": [version],
            },
        }
    )


def thing(kind: str, name: str, **metadata: object) -> str:
    return json.dumps(
        {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": {}}
    )


def owner(obj: dict) -> dict:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }


@pytest.fixture
def define(kubectl):
    made = []

    def make(name: str, **properties: object) -> None:
        kubectl("apply", "-f", "-", stdin=definition(name, **properties))
        kubectl("wait", "--for=condition=Established", f"crd/{name}s.example.com", "--timeout=10s")
        made.append(name)

    yield make
    for name in made:
        kubectl("delete", "crd", f"{name}s.example.com", "--ignore-not-found", "--timeout=30s")


def test_dependents_of_a_custom_resource_go_with_it(kubectl, define):
    define("oak")
    kubectl("create", "-f", "-", stdin=thing("Oak", "one"))
    oak = kubectl.get("oak", "one")
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "leaf", "ownerReferences": [owner(oak)]},
    }
    kubectl("create", "-f", "-", stdin=json.dumps(config))
    kubectl("create", "-f", "-", stdin=thing("Oak", "two", ownerReferences=[owner(oak)]))
    kubectl("delete", "oak", "one")
    kubectl("wait", "--for=delete", "configmap/leaf", "oak/two", "--timeout=20s")


def test_a_definition_that_goes_takes_the_dependents_of_its_objects_along(kubectl, define):
    define("elm")
    kubectl("create", "-f", "-", stdin=thing("Elm", "one"))
    elm = kubectl.get("elm", "one")
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "leaf", "ownerReferences": [owner(elm)]},
    }
    kubectl("create", "-f", "-", stdin=json.dumps(config))
    kubectl("delete", "crd", "elms.example.com", "--timeout=30s")
    kubectl("wait", "--for=delete", "configmap/leaf", "--timeout=20s")


def test_a_namespace_that_goes_takes_its_custom_resources_along(kubectl, define, cluster):
    define("ash")
    cluster.make_namespace("ashes")
    kubectl("-n", "ashes", "create", "-f", "-", stdin=thing("Ash", "one"))
    kubectl("delete", "namespace", "ashes", "--timeout=30s")
    assert kubectl.get("ashs", "-A")["items"] == []


def test_objects_are_collected_after_their_schema_has_changed(kubectl, define):
    define("fir")
    kubectl("create", "-f", "-", stdin=thing("Fir", "one"))
    fir = kubectl.get("fir", "one")
    kubectl("apply", "-f", "-", stdin=definition("fir", size={"type": "integer", "default": 3}))
    kubectl("wait", "--for=jsonpath={.spec.size}=3", "fir/one", "--timeout=10s")
    kubectl("create", "-f", "-", stdin=thing("Fir", "two", ownerReferences=[owner(fir)]))
    kubectl("delete", "fir", "one")
    kubectl("wait", "--for=delete", "fir/two", "--timeout=20s")
