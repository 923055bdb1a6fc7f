import json

import pytest

from k3py.api.kind import FULL_VERBS, Kind, StoragePolicy, Subresource
from k3py.api.openapi.documents import OpenApiDocuments, build_openapi_v2, build_openapi_v3
from k3py.api.schema import load_schema

SCHEMAS = load_schema()
STATUS = Subresource(name="status", verbs=("get", "patch", "update"))
SCALE = Subresource(name="scale", verbs=("get", "patch", "update"), kind="Scale", group="autoscaling", version="v1")


def kind(api_version, name, plural, **more):
    group, _, version = api_version.rpartition("/")
    schema = SCHEMAS.find_type_name(api_version, name) or ""
    return Kind(group=group, version=version, kind=name, plural=plural, schema=schema, storage=StoragePolicy(prefix=plural), **more)


KINDS = (
    kind("v1", "Pod", "pods", subresources=(STATUS, Subresource(name="binding", verbs=("create",), kind="Binding", version="v1"))),
    kind("v1", "ConfigMap", "configmaps"),
    kind("v1", "Namespace", "namespaces", namespaced=False, verbs=tuple(v for v in FULL_VERBS if v != "deletecollection")),
    kind("apps/v1", "Deployment", "deployments", subresources=(STATUS, SCALE)),
    kind("toys.example.com/v1", "Toy", "toys"),
)


@pytest.fixture(scope="module")
def v2():
    return build_openapi_v2(KINDS, SCHEMAS)


@pytest.fixture(scope="module")
def core():
    return build_openapi_v3("", "v1", KINDS, SCHEMAS)


@pytest.fixture(scope="module")
def apps():
    return OpenApiDocuments(SCHEMAS).build_v3(KINDS, "apps", "v1")


def plain(schema):
    return {key: value for key, value in schema.items() if key != "description"}


def test_v2_types_are_those_of_a_live_server(v2):
    types = v2["definitions"]
    assert types["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert plain(types["io.k8s.api.core.v1.Pod"]["properties"]["spec"]) == {"$ref": "#/definitions/io.k8s.api.core.v1.PodSpec"}
    assert types["io.k8s.api.core.v1.PodSpec"]["required"] == ["containers"]
    assert plain(types["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]) == {
        "type": "array",
        "items": {"$ref": "#/definitions/io.k8s.api.core.v1.Container"},
        "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-list-type": "map",
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge",
    }
    assert types["io.k8s.api.apps.v1.DeploymentSpec"]["required"] == ["selector", "template"]
    assert plain(types["io.k8s.apimachinery.pkg.api.resource.Quantity"]) == {"type": "string"}
    assert plain(types["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]) == {"type": "string", "format": "int-or-string"}


def test_v3_types_are_those_of_a_live_server(core, apps):
    reference = "#/components/schemas/"
    types = apps["components"]["schemas"]
    assert plain(types["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["selector"]) == {
        "allOf": [{"$ref": f"{reference}io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"}]
    }
    assert plain(types["io.k8s.api.core.v1.Container"]["properties"]["ports"]) == {
        "type": "array",
        "items": {"default": {}, "allOf": [{"$ref": f"{reference}io.k8s.api.core.v1.ContainerPort"}]},
        "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
        "x-kubernetes-list-type": "map",
        "x-kubernetes-patch-merge-key": "containerPort",
        "x-kubernetes-patch-strategy": "merge",
    }
    assert core["components"]["schemas"]["io.k8s.api.core.v1.Container"]["required"] == ["name"]


def test_operations_name_their_kind_and_action(v2, core):
    pod = v2["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]
    assert pod["get"]["x-kubernetes-group-version-kind"] == {"group": "", "kind": "Pod", "version": "v1"}
    assert pod["get"]["x-kubernetes-action"] == "get"
    created = core["paths"]["/api/v1/namespaces/{namespace}/configmaps"]["post"]
    assert (created["x-kubernetes-action"], created["operationId"]) == ("post", "createCoreV1NamespacedConfigMap")
    assert set(core["paths"]["/api/v1/namespaces"]) == {"parameters", "get", "post"}
    assert set(core["paths"]["/api/v1/pods"]) == {"parameters", "get"}
    scale = v2["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["get"]
    assert scale["x-kubernetes-group-version-kind"] == {"group": "autoscaling", "kind": "Scale", "version": "v1"}


def test_patch_tells_what_kubectl_looks_for(core):
    patch = core["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"]
    assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= {one["name"] for one in patch["parameters"]}
    body = {"schema": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"}}
    kinds = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
    assert patch["requestBody"]["content"] == {f"application/{one}": body for one in kinds}


def test_custom_resources_take_no_strategic_patches():
    document = build_openapi_v3("toys.example.com", "v1", KINDS, SCHEMAS)
    patch = document["paths"]["/apis/toys.example.com/v1/namespaces/{namespace}/toys/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert "com.example.toys.v1.Toy" in document["components"]["schemas"]


def test_texts_are_there_for_kubectl_explain(core):
    pod = core["components"]["schemas"]["io.k8s.api.core.v1.Pod"]
    assert pod["description"].startswith("Pod is a collection of containers")
    assert pod["properties"]["kind"]["description"].startswith("Kind is a string value")


@pytest.mark.parametrize("name", ["v2", "core", "apps"])
def test_every_reference_resolves_inside_the_document(name, request):
    document = request.getfixturevalue(name)
    types = document.get("definitions") or document["components"]["schemas"]

    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"].rpartition("/")[2]
            for one in value.values():
                yield from references(one)
        elif isinstance(value, list):
            for one in value:
                yield from references(one)

    assert set(references(document)) <= set(types)
    assert all(types[one] != {} or one.endswith(".JSON") for one in types)
    json.dumps(document)


def test_fields_tell_the_values_that_they_take(core, v2):
    schema = core["components"]["schemas"]["io.k8s.api.core.v1.Container"]["properties"]["imagePullPolicy"]
    assert schema["enum"] == ["Always", "IfNotPresent", "Never"]
    assert "\n\nPossible enum values:\n - `\"Always\"` means" in schema["description"]
    claims = core["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]
    assert "enum" not in claims["nodeName"]
    assert v2["definitions"]["io.k8s.api.core.v1.Container"]["properties"]["imagePullPolicy"]["enum"] == schema["enum"]


def test_ephemeral_containers_need_a_name(core):
    assert core["components"]["schemas"]["io.k8s.api.core.v1.EphemeralContainer"]["required"] == ["name"]
