"""Answers requests for metrics.k8s.io: nodes and pods with their usage, chosen by name and selectors like any other kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.addons.metrics_api.kinds import GROUP, NODE_METRICS, POD_METRICS
from k3py.api.resource import NODES, PODS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.apiserver.interface import ListResult, ObjectResult
from k3py.storage.document_view import DocumentView
from k3py.storage.interface import ListPage
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from k3py.addons.metrics_api.sampler import Sampler
    from k3py.addons.metrics_api.usage import NodeUsage
    from k3py.api.kind import Kind
    from k3py.apiserver.interface import ApiRequest, Result
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView

_RUNNING: Final = "Running"


class MetricsResources:
    """Finds nodes and pods through `client`, their usage through `sampler`."""

    def __init__(self, client: Client, sampler: Sampler) -> None:
        self._client = client
        self._sampler = sampler

    async def answer_nodes(self, request: ApiRequest) -> Result:
        """Answer a get or list of NodeMetrics. Raises ApiError."""
        if request.verb == "get":
            node = await self._client.get(NODES, request.name)
            return self._one(NODE_METRICS, request, await self._nodes([node]))
        nodes = await self._client.list(
            NODES,
            label_selector=request.options.get("labelSelector", ""),
            field_selector=request.options.get("fieldSelector", ""),
        )
        return _page(NODE_METRICS, await self._nodes(nodes.items))

    async def answer_pods(self, request: ApiRequest) -> Result:
        """Answer a get or list of PodMetrics. Raises ApiError."""
        if request.verb == "get":
            pod = await self._client.get(PODS, request.name, namespace=request.namespace)
            return self._one(POD_METRICS, request, await self._pods([pod]))
        pods = await self._client.list(
            PODS,
            namespace=request.namespace,
            label_selector=request.options.get("labelSelector", ""),
            field_selector=request.options.get("fieldSelector", ""),
        )
        return _page(POD_METRICS, await self._pods(pods.items))

    def _one(self, kind: Kind, request: ApiRequest, found: list[JsonObject]) -> ObjectResult:
        if not found:
            name = f"{request.namespace}/{request.name}" if request.namespace else request.name
            plural = f"{kind.singular}.{GROUP}"
            raise ApiError(
                404,
                "NotFound",
                f'{plural} "{name}" not found',
                details={"name": name, "group": GROUP, "kind": kind.singular},
            )
        return ObjectResult(kind=kind, view=DocumentView(found[0]))

    async def _nodes(self, nodes: Iterable[JsonObject]) -> list[JsonObject]:
        usages = await self._read({one["metadata"]["name"]: one for one in nodes})
        found = []
        for node, usage in usages.values():
            if usage is not None and usage.node is not None:
                found.append(
                    {**_head(NODE_METRICS, node["metadata"], usage), "usage": usage.node.to_document()}
                )
        return found

    async def _pods(self, pods: Iterable[JsonObject]) -> list[JsonObject]:
        running = [one for one in pods if (one.get("status") or {}).get("phase") == _RUNNING]
        names = {one["spec"].get("nodeName", "") for one in running}
        nodes = (await self._client.list(NODES)).items if names else []
        self._sampler.forget({one["metadata"]["name"] for one in nodes} if names else set())
        usages = await self._read(
            {one["metadata"]["name"]: one for one in nodes if one["metadata"]["name"] in names}
        )
        found = []
        for pod in running:
            _, usage = usages.get(pod["spec"].get("nodeName", ""), (None, None))
            containers = usage.containers_of(pod["metadata"]["uid"]) if usage is not None else {}
            # As upstream: a pod of which a container's usage is not known has none, rather than one that is too low.
            if usage is None or any(one["name"] not in containers for one in pod["spec"]["containers"]):
                continue
            shown = [{"name": name, "usage": one.to_document()} for name, one in sorted(containers.items())]
            found.append({**_head(POD_METRICS, pod["metadata"], usage), "containers": shown})
        return found

    async def _read(self, nodes: Mapping[str, JsonObject]) -> dict[str, tuple[JsonObject, NodeUsage | None]]:
        async with TaskScope() as scope:
            tasks = {
                name: scope.spawn(self._sampler.read(node), name=f"sample-{name}")
                for name, node in nodes.items()
            }
        return {name: (nodes[name], task.result()) for name, task in tasks.items()}


def _head(kind: Kind, metadata: JsonObject, usage: NodeUsage) -> JsonObject:
    time = format_time(usage.time)
    shown = {key: metadata[key] for key in ("name", "namespace", "labels") if metadata.get(key)}
    return {
        "kind": kind.kind,
        "apiVersion": kind.api_version,
        "metadata": {**shown, "creationTimestamp": time},
        "timestamp": time,
        "window": f"{usage.window_s:.3f}s",
    }


def _page(kind: Kind, found: list[JsonObject]) -> ListResult:
    views: list[ObjectView] = [DocumentView(one) for one in found]
    return ListResult(kind=kind, page=ListPage(items=views, revision=0))
