"""Custom resources with the real kubectl and the official Python client, from the definition to its end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

from tests.support.api_server_process import ApiServerProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: PLURAL, singular: SINGULAR, kind: KIND, shortNames: [SHORT], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Color, type: string, jsonPath: .spec.color}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [color]
            properties:
              color: {type: string, enum: [red, green], description: What it looks like.}
              replicas: {type: integer, default: 1, maximum: 9}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, port: {type: integer}}}
            x-kubernetes-validations:
            - {rule: "self.color != 'red' || self.replicas < 5", message: at most four red ones}
          status: {type: object, properties: {replicas: {type: integer}}}
"""


def definition(kind: str, short: str) -> str:
    text = DEFINITION.replace("KIND", kind).replace("SHORT", short).replace("PLURAL", f"{kind.lower()}s")
    return text.replace("SINGULAR", kind.lower())


def resource(kind: str, name: str, **spec: object) -> str:
    return json.dumps(
        {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ApiServerProcess(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def kubectl(server):
    def run(*arguments: str, stdin: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            ["kubectl", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": str(server.folder), "KUBECONFIG": str(server.kubeconfig)},
            timeout=60,
        )
        assert (done.returncode != 0) == fails, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return run


def test_kubectl_from_the_definition_to_its_end(kubectl):
    kubectl("apply", "-f", "-", stdin=definition("Lamp", "lp"))
    kubectl("wait", "--for=condition=Established", "crd/lamps.example.com", "--timeout=10s")
    assert "lamps" in kubectl("api-resources", "--api-group=example.com")

    kubectl("apply", "-f", "-", stdin=resource("Lamp", "one", color="red"))
    kubectl("create", "-f", "-", stdin=resource("Lamp", "two", color="green", replicas=3))
    header, one, two = kubectl("get", "lp").splitlines()
    assert header.split() == ["NAME", "COLOR", "REPLICAS"]
    assert (one.split(), two.split()) == (["one", "red", "1"], ["two", "green", "3"])
    assert "lamp.example.com/two" in kubectl("get", "all", "-o", "name")
    assert kubectl("get", "lamps", "--field-selector=spec.color=green", "-o", "name").split() == [
        "lamp.example.com/two"
    ]

    explained = kubectl("explain", "lamp.spec.color")
    assert "What it looks like." in explained
    assert explained.split("ENUM:")[1].split()[:2] == ["red", "green"]

    assert "Unsupported value" in kubectl(
        "apply", "-f", "-", stdin=resource("Lamp", "bad", color="blue"), fails=True
    )
    assert "at most four red ones" in kubectl("scale", "lamp/one", "--replicas=5", fails=True)
    kubectl("scale", "lamp/two", "--replicas=5")
    assert kubectl("get", "lamp", "two", "-o", "jsonpath={.spec.replicas}") == "5"
    unknown = resource("Lamp", "bad", color="red", size=1)
    assert 'unknown field "spec.size"' in kubectl("create", "-f", "-", stdin=unknown, fails=True)

    ports = [{"name": "a", "port": 1}]
    kubectl(
        "apply",
        "--server-side",
        "--field-manager=x",
        "-f",
        "-",
        stdin=resource("Lamp", "three", color="red", ports=ports),
    )
    ports = [{"name": "b", "port": 2}]
    kubectl(
        "apply",
        "--server-side",
        "--field-manager=y",
        "-f",
        "-",
        stdin=resource("Lamp", "three", color="red", ports=ports),
    )
    assert kubectl("get", "lamp", "three", "-o", "jsonpath={.spec.ports[*].name}") == "a b"
    kubectl("apply", "-f", "-", stdin=resource("Lamp", "one", color="green"))
    kubectl("patch", "lamp", "one", "--type=merge", "-p", '{"spec": {"replicas": 2}}')
    kubectl("delete", "lamp", "one")

    kubectl("delete", "crd", "lamps.example.com", "--timeout=20s")
    kubectl("apply", "-f", "-", stdin=definition("Lamp", "lp"))
    kubectl("wait", "--for=condition=Established", "crd/lamps.example.com", "--timeout=10s")
    assert "No resources found" in kubectl("get", "lamps")


def test_the_official_client(server, kubectl):
    kubectl("apply", "-f", "-", stdin=definition("Chair", "ch"))
    kubectl("wait", "--for=condition=Established", "crd/chairs.example.com", "--timeout=10s")
    with config.new_client_from_config(str(server.kubeconfig)) as api:
        custom = client.CustomObjectsApi(api)
        address = {"group": "example.com", "version": "v1", "namespace": "default", "plural": "chairs"}
        made = custom.create_namespaced_custom_object(
            **address, body=json.loads(resource("Chair", "one", color="red"))
        )
        assert made["spec"] == {"color": "red", "replicas": 1}
        patched = custom.patch_namespaced_custom_object(**address, name="one", body={"spec": {"replicas": 2}})
        assert (patched["spec"]["replicas"], patched["metadata"]["generation"]) == (2, 2)
        patched["status"] = {"replicas": 7}
        told = custom.replace_namespaced_custom_object_status(**address, name="one", body=patched)
        assert (told["status"], told["metadata"]["generation"]) == ({"replicas": 7}, 2)
        scale = custom.get_namespaced_custom_object_scale(**address, name="one")
        assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 7})
        seen = [
            event["object"]["metadata"]["name"]
            for event in watch.Watch().stream(
                custom.list_namespaced_custom_object, **address, timeout_seconds=1
            )
        ]
        assert seen == ["one"]
        del told["metadata"]["resourceVersion"]
        with pytest.raises(ApiException) as caught:
            custom.replace_namespaced_custom_object(**address, name="one", body=told)
        assert caught.value.status == 422
        chairs = dynamic.DynamicClient(api).resources.get(api_version="example.com/v1", kind="Chair")
        assert [one.metadata.name for one in chairs.get(namespace="default").items] == ["one"]
        custom.delete_namespaced_custom_object(**address, name="one")
        assert custom.list_namespaced_custom_object(**address)["items"] == []


async def test_a_definition_waits_for_the_finalizers_of_its_objects(kubectl):
    kubectl("apply", "-f", "-", stdin=definition("Table", "tb"))
    kubectl("wait", "--for=condition=Established", "crd/tables.example.com", "--timeout=10s")
    held = json.loads(resource("Table", "held", color="red"))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    kubectl("create", "-f", "-", stdin=json.dumps(held))
    kubectl("delete", "crd", "tables.example.com", "--wait=false")
    deleting = asyncio.to_thread(kubectl, "wait", "--for=delete", "crd/tables.example.com", "--timeout=20s")
    text = kubectl("create", "-f", "-", stdin=resource("Table", "late", color="red"), fails=True)
    assert "not allowed while custom resource definition is terminating" in text
    kubectl("patch", "table", "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    await deleting


def test_after_a_restart_custom_resources_are_there_at_once(tmp_path):
    endpoint = f"sqlite://{tmp_path / 'state.db'}"
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()

    def api_of(server: ApiServerProcess) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(config.new_client_from_config(str(server.kubeconfig)))

    address = {"group": "example.com", "version": "v1", "namespace": "default", "plural": "stools"}
    with ApiServerProcess(tmp_path / "first", endpoint=endpoint) as server:
        environment = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(server.kubeconfig)}
        made = definition("Stool", "st")
        subprocess.run(["kubectl", "apply", "-f", "-"], input=made, text=True, env=environment, check=True)
        wait = ["kubectl", "wait", "--for=condition=Established", "crd/stools.example.com", "--timeout=10s"]
        subprocess.run(wait, env=environment, check=True)
        body = json.loads(resource("Stool", "one", color="red"))
        first = api_of(server).create_namespaced_custom_object(**address, body=body)
    with ApiServerProcess(tmp_path / "second", endpoint=endpoint) as server:
        api = api_of(server)
        assert api.get_namespaced_custom_object(**address, name="one") == first
        body = json.loads(resource("Stool", "two", color="blue"))
        with pytest.raises(ApiException) as caught:
            api.create_namespaced_custom_object(**address, body=body)
        assert caught.value.status == 422
