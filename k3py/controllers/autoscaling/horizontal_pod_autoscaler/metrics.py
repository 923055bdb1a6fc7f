"""Fetches metrics: of resources from metrics.k8s.io, of pods and objects from custom.metrics.k8s.io, others from external.metrics.k8s.io.

Source: kubernetes/pkg/controller/podautoscaler/metrics/client.go v1.35, k8s.io/metrics/pkg/client v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.quantity import millis
from k3py.api.resource import Resource
from k3py.api.selectors import selector_from_object
from k3py.api.status import ApiError
from k3py.api.timestamps import parse_duration, parse_time
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.replicas import MetricError, PodMetric

if TYPE_CHECKING:
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

_POD_METRICS: Final = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
_CUSTOM: Final = "custom.metrics.k8s.io"
_CUSTOM_VERSIONS: Final = ("v1beta2", "v1beta1")
_EXTERNAL: Final = "external.metrics.k8s.io"
_WINDOW_S: Final = 60.0


class MetricsClient:
    """Asks the metrics APIs as the controller's user."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def resource(
        self, resource: str, namespace: str, selector: str, container: str = ""
    ) -> dict[str, PodMetric]:
        """Return usage of a resource by pod, of one container if named. Raises MetricError."""
        try:
            listed = await self._client.list(_POD_METRICS, namespace=namespace, label_selector=selector)
        except ApiError as error:
            raise MetricError(
                f"unable to get metrics for resource {resource}: unable to fetch metrics from resource metrics API: "
                f"{error.message}"
            ) from error
        if not listed.items:
            raise MetricError(
                f"unable to get metrics for resource {resource}: no metrics returned from resource metrics API"
            )
        found = {}
        for pod in listed.items:
            total = _usage(pod, resource, container)
            if total is not None:
                window_s = parse_duration(pod["window"]) / 1e9 if pod.get("window") else _WINDOW_S
                found[pod["metadata"]["name"]] = PodMetric(total, parse_time(pod["timestamp"]), window_s)
        return found

    async def pods(self, metric: JsonObject, namespace: str, selector: str) -> dict[str, PodMetric]:
        """Return a custom metric by pod. Raises MetricError."""
        items = await self._custom(
            Resource(_CUSTOM, "", "pods", "Pod"), "*", namespace, metric, labelSelector=selector
        )
        return {
            str((one.get("describedObject") or {}).get("name", "")): PodMetric(
                millis(str(one["value"])),
                parse_time(one["timestamp"]),
                float(one.get("windowSeconds") or one.get("window") or _WINDOW_S),
            )
            for one in items
        }

    async def of_object(self, metric: JsonObject, namespace: str, resource: Resource, name: str) -> int:
        """Return a custom metric of one object, in thousandths. Raises MetricError."""
        items = await self._custom(resource, name, namespace if resource.namespaced else "", metric)
        if not items:
            raise MetricError("no metrics returned from custom metrics API")
        return millis(str(items[0]["value"]))

    async def external(self, metric: JsonObject, namespace: str) -> list[int]:
        """Return the values of a metric of something outside, in thousandths. Raises MetricError."""
        resource = Resource(_EXTERNAL, "v1beta1", metric["name"], "ExternalMetricValueList")
        selector = str(selector_from_object(metric.get("selector") or {}))
        try:
            listed = await self._client.list(resource, namespace=namespace, label_selector=selector)
        except ApiError as error:
            raise MetricError(
                f"unable to get external metric {namespace}/{metric['name']}/{selector or 'nil'}: "
                f"unable to fetch metrics from external metrics API: {error.message}"
            ) from error
        if not listed.items:
            raise MetricError(
                f"unable to get external metric {namespace}/{metric['name']}/{selector or 'nil'}: "
                "no metrics returned from external metrics API"
            )
        return [millis(str(one["value"])) for one in listed.items]

    async def _custom(
        self, resource: Resource, name: str, namespace: str, metric: JsonObject, **options: str
    ) -> list[JsonObject]:
        plural = (
            f"{resource.plural}.{resource.group}" if resource.group not in ("", _CUSTOM) else resource.plural
        )
        if metric.get("selector"):
            options["metricLabelSelector"] = str(selector_from_object(metric["selector"]))
        for version in _CUSTOM_VERSIONS:
            address = Resource(_CUSTOM, version, plural, resource.kind, resource.namespaced)
            try:
                found = await self._client.get(
                    address, name, namespace=namespace, subresource=metric["name"], options=options
                )
            except ApiError as error:
                if error.code == 404 and version != _CUSTOM_VERSIONS[-1]:
                    continue
                raise MetricError(
                    f"unable to get metric {metric['name']}: unable to fetch metrics from custom metrics API: "
                    f"{error.message}"
                ) from error
            items: list[JsonObject] = found.get("items") or []
            return items
        return []


def _usage(pod: JsonObject, resource: str, container: str) -> int | None:
    """Return a pod's (or one container's) usage in thousandths, None where a part of it is not known."""
    total = 0
    for one in pod.get("containers") or ():
        if container and one["name"] != container:
            continue
        usage = one["usage"].get(resource)
        if usage is None:
            return None
        total += millis(usage)
        if container:
            return total
    return None if container else total
