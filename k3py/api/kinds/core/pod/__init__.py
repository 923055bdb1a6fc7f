"""Pods: the record, the strategy, what the table shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.kinds.core.pod.columns import COLUMNS
from k3py.api.kinds.core.pod.strategy import PodStrategy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _spec(obj: JsonObject, field: str) -> str:
    return str((obj.get("spec") or {}).get(field) or "")


def _status(obj: JsonObject, field: str) -> str:
    return str((obj.get("status") or {}).get(field) or "")


def _addresses(obj: JsonObject) -> str:
    return ",".join(one.get("ip", "") for one in (obj.get("status") or {}).get("podIPs") or ())


_RUN: Final = ("create", "get")
_ANY: Final = ("create", "delete", "get", "patch", "update")
_WRITE: Final = ("get", "patch", "update")

KIND: Final = Kind(
    version="v1",
    kind="Pod",
    plural="pods",
    singular="pod",
    list_kind="PodList",
    short_names=("po",),
    categories=("all",),
    schema="io.k8s.api.core.v1.Pod",
    strategy=PodStrategy(),
    subresources=(
        Subresource(name="attach", verbs=_RUN, kind="PodAttachOptions"),
        Subresource(name="binding", verbs=("create",), kind="Binding"),
        Subresource(name="ephemeralcontainers", verbs=_WRITE),
        Subresource(name="eviction", verbs=("create",), kind="Eviction", group="policy", version="v1"),
        Subresource(name="exec", verbs=_RUN, kind="PodExecOptions"),
        Subresource(name="log", verbs=("get",)),
        Subresource(name="portforward", verbs=_RUN, kind="PodPortForwardOptions"),
        Subresource(name="proxy", verbs=_ANY, kind="PodProxyOptions"),
        Subresource(name="resize", verbs=_WRITE),
        Subresource(name="status", verbs=_WRITE),
    ),
    columns=COLUMNS,
    selectable_fields={
        "spec.nodeName": lambda obj: _spec(obj, "nodeName"),
        "spec.host": lambda obj: _spec(obj, "nodeName"),
        "spec.restartPolicy": lambda obj: _spec(obj, "restartPolicy"),
        "spec.schedulerName": lambda obj: _spec(obj, "schedulerName"),
        "spec.serviceAccountName": lambda obj: _spec(obj, "serviceAccountName"),
        "spec.hostNetwork": lambda obj: "true" if (obj.get("spec") or {}).get("hostNetwork") else "false",
        "status.phase": lambda obj: _status(obj, "phase"),
        "status.podIP": lambda obj: _status(obj, "podIP"),
        "status.podIPs": _addresses,
        "status.nominatedNodeName": lambda obj: _status(obj, "nominatedNodeName"),
    },
    storage=StoragePolicy(prefix="pods"),
    storage_version_hash="xPOwRZ+Yhw8=",
)
