"""OpenAPI documents of a table of kinds: `/openapi/v2` as a whole, `/openapi/v3` one a group and version, complete in itself.

Clients read from them: types and texts (kubectl explain), merge keys and list types (kubectl apply), the group, version and kind of
operations, whether PATCH takes strategic merge patches (built-in kinds only) and the fieldValidation parameter.
Source: api-machinery.md §1.2; kube-apiserver v1.35's documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.openapi.custom import custom_schema
from k3py.api.openapi.definitions import DELETE_OPTIONS, OBJECT_META, PATCH, PREFIX, STATUS, DefinitionWriter
from k3py.api.openapi.paths import NAME, NAMESPACE, PRETTY, operations_of
from k3py.api.schema.enums import read_enums
from k3py.api.schema.table import read_descriptions
from k3py.version import KUBERNETES_VERSION

_COMMON_KIND: Final = "io.k8s.api.core.v1.ConfigMap"  # its apiVersion, kind and metadata read as everybody's

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.api.kind import Kind
    from k3py.api.openapi.definitions import Dialect
    from k3py.api.openapi.paths import Operation, Parameter
    from k3py.api.schema.schemas import Schemas
    from k3py.jsontypes import JsonObject, JsonValue

_ANSWERS: Final = (
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
)
_PATCHES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_SECURITY: Final = {
    "BearerToken": {
        "type": "apiKey",
        "description": "Bearer Token authentication",
        "name": "authorization",
        "in": "header",
    }
}


class OpenApiDocuments:
    """Builds documents; keeps nothing but the schemas."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def build_v2(self, kinds: Iterable[Kind]) -> JsonObject:
        """Return the Swagger 2.0 document of all kinds."""
        writer = _Writer(self._schemas, "v2")
        paths = writer.write_paths(kinds)
        return {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
            "paths": paths,
            "definitions": dict(sorted(writer.definitions.items())),
            "securityDefinitions": _SECURITY,
            "security": [{"BearerToken": []}],
        }

    def build_v3(self, kinds: Iterable[Kind], group: str, version: str) -> JsonObject:
        """Return the OpenAPI 3.0 document of one group and version."""
        writer = _Writer(self._schemas, "v3")
        paths = writer.write_paths(kind for kind in kinds if (kind.group, kind.version) == (group, version))
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
            "paths": paths,
            "components": {"schemas": dict(sorted(writer.definitions.items())), "securitySchemes": _SECURITY},
        }


def build_openapi_v2(kinds: Iterable[Kind], schemas: Schemas) -> JsonObject:
    """Return the Swagger 2.0 document of all kinds."""
    return OpenApiDocuments(schemas).build_v2(kinds)


def build_openapi_v3(group: str, version: str, kinds: Iterable[Kind], schemas: Schemas) -> JsonObject:
    """Return the OpenAPI 3.0 document of one group and version."""
    return OpenApiDocuments(schemas).build_v3(kinds, group, version)


def definition_name(kind: Kind) -> str:
    """Return the name of a kind's type; of custom resources the reversed group, version and kind: com.example.v1.Foo."""
    if kind.schema:
        return kind.schema
    return ".".join((*reversed(kind.group.split(".")), kind.version, kind.kind))


class _Writer:
    def __init__(self, schemas: Schemas, dialect: Dialect) -> None:
        self._schemas = schemas
        self._dialect: Dialect = dialect
        self._types = DefinitionWriter(schemas, read_descriptions(), read_enums(), dialect)

    @property
    def definitions(self) -> dict[str, JsonObject]:
        return self._types.definitions

    def write_paths(self, kinds: Iterable[Kind]) -> JsonObject:
        paths: JsonObject = {}
        for kind in kinds:
            for operation in operations_of(kind):
                path = paths.setdefault(operation.path, {"parameters": self._path_parameters(operation.path)})
                path[operation.method] = self._operation(operation)
        return dict(sorted(paths.items()))

    def _path_parameters(self, path: str) -> list[JsonObject]:
        named = [NAME] if "{name}" in path else []
        if "{namespace}" in path:
            named.append(NAMESPACE)
        return [self._parameter(one) for one in (*named, PRETTY)]

    def _parameter(self, one: Parameter) -> JsonObject:
        shape: JsonObject = {"type": one.type, "uniqueItems": True}
        result: JsonObject = {"name": one.name, "in": one.where, "description": one.text}
        if one.where == "path":
            result["required"] = True
        return result | (shape if self._dialect == "v2" else {"schema": shape})

    def _refer_kind(self, kind: Kind) -> JsonObject:
        if kind.schema:
            return self._types.refer(kind.schema)
        return self._define(definition_name(kind), self._custom(kind, kind.kind))

    def _define(self, name: str, schema: JsonObject) -> JsonObject:
        self.definitions.setdefault(name, schema)
        return {"$ref": PREFIX[self._dialect] + name}

    def _custom(self, kind: Kind, name: str) -> JsonObject:
        gvk = {"group": kind.group, "kind": name, "version": kind.version}
        metadata = self._types.refer(OBJECT_META)
        if kind.structure is not None:
            texts = self._types.texts_of(_COMMON_KIND)
            wrapped = metadata if self._dialect == "v2" else {"allOf": [metadata]}
            resource: dict[str, JsonObject] = {
                "apiVersion": {"description": texts["apiVersion"], "type": "string"},
                "kind": {"description": texts["kind"], "type": "string"},
                "metadata": {"description": texts["metadata"], **wrapped},
            }
            schema = custom_schema(kind.structure.publish(), self._dialect, resource)
            return {"type": "object", **schema, "x-kubernetes-group-version-kind": [gvk]}
        return {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": metadata if self._dialect == "v2" else {"allOf": [metadata]},
            },
            "x-kubernetes-preserve-unknown-fields": True,
            "x-kubernetes-group-version-kind": [gvk],
        }

    def _refer_list(self, kind: Kind) -> JsonObject:
        if kind.schema and self._schemas.find(f"{kind.schema}List") is not None:
            return self._types.refer(f"{kind.schema}List")
        name = kind.list_kind or f"{kind.kind}List"
        metadata = self._types.refer("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta")
        schema: JsonObject = {
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "items": {"type": "array", "items": self._refer_kind(kind)},
                "kind": {"type": "string"},
                "metadata": metadata if kind.schema or self._dialect == "v2" else {"allOf": [metadata]},
            },
            "x-kubernetes-group-version-kind": [{"group": kind.group, "kind": name, "version": kind.version}],
        }
        return self._define(f"{definition_name(kind)}List", schema)

    def _body_of(self, operation: Operation) -> tuple[JsonObject, JsonObject]:
        """Return the group, version and kind of an operation's object, and a reference to its type."""
        kind, subresource = operation.kind, operation.subresource
        if subresource is not None and subresource.kind and subresource.kind != kind.kind:
            group, version = subresource.group, subresource.version or kind.version
            api_version = f"{group}/{version}" if group else version
            name = self._schemas.find_type_name(api_version, subresource.kind)
            reference = self._types.refer(name) if name else {"type": "string"}
            return {"group": group, "kind": subresource.kind, "version": version}, reference
        gvk = {"group": kind.group, "kind": kind.kind, "version": kind.version}
        return gvk, self._refer_kind(kind)

    def _operation(self, operation: Operation) -> JsonObject:
        kind = operation.kind
        gvk, reference = self._body_of(operation)
        answer = reference
        if operation.lists:
            answer = self._refer_list(kind)
        elif operation.method == "delete":
            answer = self._types.refer(STATUS)
        body = reference
        if operation.method == "patch":
            body = self._types.refer(PATCH)
        elif operation.method == "delete":
            body = self._types.refer(DELETE_OPTIONS)
        responses: JsonObject = {"200": self._response("OK", answer), "401": {"description": "Unauthorized"}}
        if operation.method in ("post", "put", "patch"):
            responses["201"] = self._response("Created", answer)
        if operation.method in ("post", "delete"):
            responses["202"] = self._response("Accepted", answer)
        verb = {"deletecollection": "delete collection of", "post": "create"}.get(
            operation.action, operation.action
        )
        result: JsonObject = {
            "tags": [f"{_tag(kind.group)}_{kind.version}"],
            "description": f"{verb} {kind.kind}",
            "operationId": operation.id,
            "parameters": [self._parameter(one) for one in operation.parameters],
            "responses": responses,
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": gvk,
        }
        content = _patch_types(kind) if operation.method == "patch" else ("*/*",)
        if self._dialect == "v2":
            result |= {"schemes": ["https"], "consumes": list(content), "produces": list(_ANSWERS)}
            if operation.has_body:
                required = operation.method != "delete"
                parameter: JsonObject = {"name": "body", "in": "body", "schema": body}
                result["parameters"].append(parameter | ({"required": True} if required else {}))
        elif operation.has_body:
            schemas: JsonValue = {one: {"schema": body} for one in content}
            result["requestBody"] = {"content": schemas} | (
                {"required": True} if operation.method != "delete" else {}
            )
        return result

    def _response(self, text: str, reference: JsonObject) -> JsonObject:
        if self._dialect == "v2":
            return {"description": text, "schema": reference}
        return {"description": text, "content": {one: {"schema": reference} for one in _ANSWERS}}


def _tag(group: str) -> str:
    first, *rest = group.removesuffix(".k8s.io").split(".")
    return first + "".join(one.capitalize() for one in rest) if group else "core"


def _patch_types(kind: Kind) -> tuple[str, ...]:
    """Return what PATCH accepts; custom resources have no strategic merge."""
    return _PATCHES if kind.schema else tuple(one for one in _PATCHES if "strategic" not in one)
