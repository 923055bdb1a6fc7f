"""Puts the metrics API together: kinds and answers into the API server, the way to kubelets, RBAC."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import orjson

from k3py.addons.metrics_api.kinds import NODE_METRICS, POD_METRICS
from k3py.addons.metrics_api.resources import MetricsResources
from k3py.addons.metrics_api.roles import ACCOUNT as METRICS_ACCOUNT
from k3py.addons.metrics_api.roles import ensure_roles
from k3py.addons.metrics_api.sampler import Sampler
from k3py.server.kubelet_requests import KubeletRequests
from k3py.util.step import Step

if TYPE_CHECKING:
    from k3py.apiserver.dispatcher import ApiDispatcher
    from k3py.apiserver.interface import KubeletConnector
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

__all__ = ("METRICS_ACCOUNT", "KubeletSummaries", "serve_metrics")

_PATH = "/stats/summary?only_cpu_and_memory=true"


class KubeletSummaries:
    """Fetches /stats/summary from kubelets with the API server's credential."""

    def __init__(self, connector: KubeletConnector) -> None:
        self._requests = KubeletRequests(connector)

    async def fetch(self, node: JsonObject) -> JsonObject:
        """Return the Summary of a Node's kubelet. Raises OSError, TimeoutError."""
        status, body = await self._requests.send(node, "GET", _PATH)
        if status != 200:
            raise OSError(f"the kubelet answered {status}")
        return _parse(body)


def _parse(body: bytes) -> JsonObject:
    try:
        summary: JsonObject = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise OSError(f"the summary is not JSON: {error}") from error
    return summary


def serve_metrics(
    dispatcher: ApiDispatcher, connector: KubeletConnector, client: Client, masters: Client
) -> Step:
    """Serve the kinds; return what makes their RBAC at the start. `client`: of who collects, `masters`: of who makes roles."""
    resources = MetricsResources(client, Sampler(KubeletSummaries(connector)))
    dispatcher.serve(NODE_METRICS, resources.answer_nodes)
    dispatcher.serve(POD_METRICS, resources.answer_pods)
    return Step("metrics-api-roles", partial(ensure_roles, masters))
