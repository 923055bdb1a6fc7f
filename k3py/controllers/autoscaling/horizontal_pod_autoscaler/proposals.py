"""What each metric of a HorizontalPodAutoscaler asks for, and what is shown of it in the status.

Source: kubernetes/pkg/controller/podautoscaler/horizontal.go (computeReplicasForMetric) v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.quantity import format_quantity, millis
from k3py.api.selectors import selector_from_object
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.replicas import (
    MetricError,
    propose_by_average,
    propose_by_utilization,
    propose_by_value,
    propose_by_value_a_pod,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from k3py.api.resource import Resource
    from k3py.api.selectors import LabelSelector
    from k3py.controllers.autoscaling.horizontal_pod_autoscaler.metrics import MetricsClient
    from k3py.controllers.autoscaling.horizontal_pod_autoscaler.replicas import Proposal, Tolerances
    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is scaled: replicas as its spec and its status say, its pods (read-only) and their selector."""

    namespace: str
    spec_replicas: int
    status_replicas: int
    selector: LabelSelector
    pods: Sequence[JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricProposal:
    """Replicas that a metric asks for, its name in messages, and its entry in status.currentMetrics."""

    replicas: int
    name: str
    status: JsonObject


class MetricFault(Exception):
    """A metric cannot be used: reason and message of the condition and event, and the text for the summary."""

    def __init__(self, reason: str, message: str, summary: str) -> None:
        super().__init__(summary)
        self.reason = reason
        self.message = message


_FAULTS: Final = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


class Proposals:
    """Computes proposals; `find_resource(apiVersion, kind)` gives the resource of a described object, None = unknown."""

    def __init__(self, metrics: MetricsClient, find_resource: Callable[[str, str], Resource | None]) -> None:
        self._metrics = metrics
        self._find_resource = find_resource

    async def propose(
        self, spec: JsonObject, target: Target, tolerances: Tolerances, now: datetime
    ) -> MetricProposal:
        """Return what one entry of spec.metrics asks for. Raises MetricFault."""
        kind = spec.get("type", "")
        try:
            match kind:
                case "Resource":
                    return await self._of_resource(spec["resource"], "", target, tolerances, now)
                case "ContainerResource":
                    source = spec["containerResource"]
                    return await self._of_resource(source, source["container"], target, tolerances, now)
                case "Pods":
                    return await self._of_pods(spec["pods"], target, tolerances, now)
                case "Object":
                    return await self._of_object(spec["object"], target, tolerances)
                case "External":
                    return await self._of_external(spec["external"], target, tolerances)
        except MetricError as error:
            raise _fault(kind, spec, str(error)) from error
        text = f'unknown metric source type "{kind}"'
        raise MetricFault("InvalidMetricSourceType", text, text)

    async def _of_resource(
        self, source: JsonObject, container: str, target: Target, tolerances: Tolerances, now: datetime
    ) -> MetricProposal:
        resource, wanted = source["name"], source["target"]
        metrics = await self._metrics.resource(resource, target.namespace, str(target.selector), container)
        what = "container resource" if container else "resource"
        if wanted.get("averageValue") is not None:
            found = propose_by_average(
                target.spec_replicas,
                millis(wanted["averageValue"]),
                metrics,
                target.pods,
                resource=resource,
                tolerances=tolerances,
                now=now,
            )
            current: JsonObject = {"averageValue": _quantity(found.value)}
            name = f"{resource} {what}"
        elif wanted.get("averageUtilization") is not None:
            found = propose_by_utilization(
                target.spec_replicas,
                wanted["averageUtilization"],
                metrics,
                target.pods,
                resource=resource,
                container=container,
                tolerances=tolerances,
                now=now,
            )
            current = {"averageUtilization": found.utilization, "averageValue": _quantity(found.value)}
            name = f"{resource} {what} utilization (percentage of request)"
        else:
            raise MetricError(
                "invalid resource metric source: neither a utilization target nor a value target was set"
            )
        if container:
            shown = {"name": resource, "container": container, "current": current}
            status = {"type": "ContainerResource", "containerResource": shown}
        else:
            status = {"type": "Resource", "resource": {"name": resource, "current": current}}
        return MetricProposal(replicas=found.replicas, name=name, status=status)

    async def _of_pods(
        self, source: JsonObject, target: Target, tolerances: Tolerances, now: datetime
    ) -> MetricProposal:
        metric = source["metric"]
        metrics = await self._metrics.pods(metric, target.namespace, str(target.selector))
        found = propose_by_average(
            target.spec_replicas,
            millis(source["target"]["averageValue"]),
            metrics,
            target.pods,
            tolerances=tolerances,
            now=now,
        )
        shown = {"metric": metric, "current": {"averageValue": _quantity(found.value)}}
        status = {"type": "Pods", "pods": shown}
        return MetricProposal(replicas=found.replicas, name=f"pods metric {metric['name']}", status=status)

    async def _of_object(self, source: JsonObject, target: Target, tolerances: Tolerances) -> MetricProposal:
        metric, described = source["metric"], source["describedObject"]
        resource = self._find_resource(described.get("apiVersion", ""), described["kind"])
        if resource is None:
            raise MetricError(
                f'no matches for kind "{described["kind"]}" in "{described.get("apiVersion", "")}"'
            )
        usage = await self._metrics.of_object(metric, target.namespace, resource, described["name"])
        found, current = _by_whole(source["target"], usage, target, tolerances)
        shown = {"describedObject": described, "metric": metric, "current": current}
        return MetricProposal(
            replicas=found.replicas,
            name=f"{described['kind']} metric {metric['name']}",
            status={"type": "Object", "object": shown},
        )

    async def _of_external(
        self, source: JsonObject, target: Target, tolerances: Tolerances
    ) -> MetricProposal:
        metric = source["metric"]
        usage = sum(await self._metrics.external(metric, target.namespace))
        found, current = _by_whole(source["target"], usage, target, tolerances)
        selector = str(selector_from_object(metric.get("selector") or {}))
        return MetricProposal(
            replicas=found.replicas,
            name=f"external metric {metric['name']}({selector or 'nil'})",
            status={"type": "External", "external": {"metric": metric, "current": current}},
        )


def _by_whole(
    wanted: JsonObject, usage: int, target: Target, tolerances: Tolerances
) -> tuple[Proposal, JsonObject]:
    if wanted.get("averageValue") is not None:
        found = propose_by_value_a_pod(
            target.status_replicas, millis(wanted["averageValue"]), usage, tolerances
        )
        return found, {"averageValue": _quantity(found.value)}
    if wanted.get("value") is None:
        raise MetricError("invalid metric source: neither a value target nor an average value target was set")
    found = propose_by_value(target.spec_replicas, millis(wanted["value"]), usage, target.pods, tolerances)
    return found, {"value": _quantity(found.value)}


def _fault(kind: str, spec: JsonObject, text: str) -> MetricFault:
    if kind == "Resource":
        source = spec["resource"]
        form = "utilization" if source["target"].get("averageValue") is None else "usage"
        message = f"failed to get {source['name']} {form}: {text}"
        summary = f"failed to get {source['name']} resource metric value: {message}"
    elif kind == "ContainerResource":
        source = spec["containerResource"]
        form = "utilization" if source["target"].get("averageValue") is None else "usage"
        message = f"failed to get {source['name']} {form}: {text}"
        summary = f"failed to get {source['name']} container metric value: {message}"
    else:
        message = text
        what = {"Pods": "pods", "Object": "object", "External": "external"}[kind]
        name = spec[what]["metric"]["name"]
        summary = (
            f"failed to get {name} {what} metric value: {text}"
            if kind != "Pods"
            else f"failed to get pods metric value: {text}"
        )
    return MetricFault(_FAULTS[kind], message, summary)


def _quantity(value_in_thousandths: int) -> str:
    from decimal import Decimal  # noqa: PLC0415 - only where a metric is shown

    return format_quantity(Decimal(value_in_thousandths).scaleb(-3))
