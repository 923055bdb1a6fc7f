"""Services: the record, the strategy, what the table shows."""

from __future__ import annotations

from typing import Final

from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.kinds.core.service.columns import COLUMNS
from k3py.api.kinds.core.service.strategy import ServiceStrategy

KIND: Final = Kind(
    version="v1",
    kind="Service",
    plural="services",
    singular="service",
    list_kind="ServiceList",
    short_names=("svc",),
    categories=("all",),
    schema="io.k8s.api.core.v1.Service",
    strategy=ServiceStrategy(),
    subresources=(
        Subresource(
            name="proxy", verbs=("create", "delete", "get", "patch", "update"), kind="ServiceProxyOptions"
        ),
        Subresource(name="status", verbs=("get", "patch", "update")),
    ),
    columns=COLUMNS,
    selectable_fields={
        "spec.clusterIP": lambda obj: str((obj.get("spec") or {}).get("clusterIP", "")),
        "spec.type": lambda obj: str((obj.get("spec") or {}).get("type", "")),
    },
    storage=StoragePolicy(prefix="services/specs"),
    storage_version_hash="0/CO1lhkEBI=",
)
