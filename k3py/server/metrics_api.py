"""Puts the metrics API together: kinds and answers into the API server, the way to kubelets, RBAC."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from k3py.addons.metrics_api.kinds import NODE_METRICS, POD_METRICS
from k3py.addons.metrics_api.resources import MetricsResources
from k3py.addons.metrics_api.roles import ACCOUNT as METRICS_ACCOUNT
from k3py.addons.metrics_api.roles import ensure_roles
from k3py.addons.metrics_api.sampler import Sampler
from k3py.api.status import ApiError
from k3py.apiserver.handlers.forwarding import iter_body, read_head
from k3py.apiserver.registry.subresources.node_location import url_of_node
from k3py.util.step import Step

if TYPE_CHECKING:
    from k3py.apiserver.dispatcher import ApiDispatcher
    from k3py.apiserver.interface import KubeletConnector
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

__all__ = ("METRICS_ACCOUNT", "KubeletSummaries", "serve_metrics")

_PATH = "/stats/summary?only_cpu_and_memory=true"
_LONGEST_ANSWER = 16 * 1024 * 1024


class KubeletSummaries:
    """Fetches /stats/summary from kubelets with the API server's credential."""

    def __init__(self, connector: KubeletConnector) -> None:
        self._connector = connector

    async def fetch(self, node: JsonObject) -> JsonObject:
        """Return the Summary of a Node's kubelet. Raises OSError, TimeoutError."""
        try:
            url = url_of_node(node)
        except ApiError as error:
            raise OSError(error.message) from error
        reader, writer = await self._connector.connect(url)
        try:
            head = f"GET {_PATH} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            answer = await read_head(reader)
            body = bytearray()
            async for part in iter_body(answer, reader):
                body += part
                if len(body) > _LONGEST_ANSWER:
                    raise OSError(f"the summary is longer than {_LONGEST_ANSWER} bytes")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise OSError(f"not an HTTP answer: {error}") from error
        finally:
            writer.close()
        if answer.status != 200:
            raise OSError(f"the kubelet answered {answer.status}")
        return _parse(bytes(body))


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
