"""Definitions of custom resources."""

from __future__ import annotations

from typing import Final

from k3py.api.columns import CREATED_AT, NAME
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.kinds.apiextensions.custom_resource_definition.strategy import CustomResourceDefinitionStrategy

KIND: Final = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    singular="customresourcedefinition",
    list_kind="CustomResourceDefinitionList",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    namespaced=False,
    schema="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    strategy=CustomResourceDefinitionStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(NAME, CREATED_AT),
    storage=StoragePolicy(prefix="apiextensions.k8s.io/customresourcedefinitions"),
    storage_version_hash="jfWCUB31mvA=",
)
