"""The controller: every 15 s it looks at each HorizontalPodAutoscaler, and scales its target if need be.

Source: kubernetes/pkg/controller/podautoscaler/horizontal.go v1.35.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from k3py.api.conditions import set_condition
from k3py.api.object import deep_copy, key_of, split_key
from k3py.api.quantity import parse_quantity
from k3py.api.resource import HORIZONTAL_POD_AUTOSCALERS, PODS
from k3py.api.selectors import SelectorError, parse_label_selector
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.behavior import History, decide
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.metrics import MetricsClient
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.proposals import MetricFault, Proposals, Target
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.replicas import Tolerances
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.api.resource import Resource
    from k3py.api.selectors import LabelSelector
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

PERIOD_S: Final = 15.0
_TOLERANCE: Final = 0.1


class _Stop(Exception):
    """The rest of this round cannot be done; the text says why."""


class _Round:
    """One look at an autoscaler: the status that it will have."""

    def __init__(self, autoscaler: JsonObject, now: str) -> None:
        self.autoscaler = autoscaler
        self.now = now
        old = autoscaler.get("status") or {}
        self.conditions: list[JsonObject] = list(old.get("conditions") or ())
        self.status: JsonObject = dict(old)
        self.status.setdefault("desiredReplicas", 0)
        self.status.setdefault("currentMetrics", None)

    def set_condition(self, kind: str, *, status: bool, reason: str, message: str) -> None:
        """Set a condition; a time of transition changes with its status only."""
        self.conditions = set_condition(
            self.conditions,
            kind,
            "True" if status else "False",
            reason=reason,
            message=message,
            now=self.now,
        )

    def show(self, current: int, metrics: list[JsonObject] | None, desired: int | None = None) -> None:
        """Set sizes and metrics; `desired` None leaves it as it was."""
        self.status["currentReplicas"] = current
        self.status["currentMetrics"] = metrics
        if desired is not None:
            self.status["desiredReplicas"] = desired

    def result(self) -> JsonObject:
        """Return the whole status."""
        return {**self.status, "conditions": self.conditions}


class HorizontalPodAutoscalerController:
    """See the module."""

    name = "horizontal-pod-autoscaler-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._kinds = context.kinds
        autoscalers = context.informers.informer(HORIZONTAL_POD_AUTOSCALERS)
        pods = context.informers.informer(PODS)
        self._autoscalers, self._pods = autoscalers.lister, pods.lister
        self._proposals = Proposals(MetricsClient(context.client), self._find_resource)
        self._due_s: dict[str, float] = {}
        self._histories: dict[str, History] = {}
        self._selectors: dict[str, LabelSelector] = {}
        # Pods are looked at when metrics are: they wake nobody.
        self.watches = (Watch(autoscalers, _keys_of), Watch(pods, lambda _old, _new: ()))

    async def reconcile(self, key: str) -> float | None:
        """Look at an autoscaler if it is time."""
        autoscaler = self._autoscalers.find(*split_key(key))
        if autoscaler is None:
            for kept in (self._due_s, self._histories, self._selectors):
                _ = kept.pop(key, None)
            return None
        now_s = clock.monotonic_s()
        due_s = self._due_s.setdefault(key, now_s + PERIOD_S)
        if now_s < due_s:
            return due_s - now_s
        self._due_s[key] = now_s + PERIOD_S
        this = _Round(autoscaler, format_time(clock.now()))
        with suppress(_Stop):  # said in conditions and events
            await self._scale(this, key, now_s)
        await self._write(this)
        return PERIOD_S

    async def _scale(self, this: _Round, key: str, now_s: float) -> None:
        spec = this.autoscaler["spec"]
        resource, scale = await self._read_scale(this)
        current = (scale.get("spec") or {}).get("replicas") or 0
        history = self._histories.setdefault(key, History())
        history.begin(current, now_s)
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        metrics: list[JsonObject] | None = None
        desired, reason = current, ""
        if current == 0 and least != 0:
            message = "scaling is disabled since the replica count of the target is zero"
            this.set_condition("ScalingActive", status=False, reason="ScalingDisabled", message=message)
        elif current > most:
            desired, reason = most, "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            desired, reason = least, "Current number of replicas below Spec.MinReplicas"
        else:
            wanted, name, metrics = await self._compute(this, key, scale, current)
            reason = f"{name} above target" if wanted > current else "All metrics below target"
            decision = decide(
                history,
                spec.get("behavior"),
                current=current,
                desired=wanted,
                least=least,
                most=most,
                now_s=now_s,
            )
            this.set_condition("AbleToScale", status=True, reason=decision.able[0], message=decision.able[1])
            this.set_condition(
                "ScalingLimited", status=decision.limited, reason=decision.limit[0], message=decision.limit[1]
            )
            desired = decision.replicas
        if desired != current:
            await self._write_scale(this, resource, scale, desired, reason, metrics)
            history.note(current, desired, now_s, spec.get("behavior"))
            this.status["lastScaleTime"] = this.now
        this.show(current, metrics, desired)

    async def _read_scale(self, this: _Round) -> tuple[Resource, JsonObject]:
        metadata, target = this.autoscaler["metadata"], this.autoscaler["spec"]["scaleTargetRef"]
        api_version, kind = target.get("apiVersion", ""), target["kind"]
        resource = self._find_resource(api_version, kind)
        if resource is None:
            raise self._lack_scale(this, f'no matches for kind "{kind}" in "{api_version}"')
        try:
            scale = await self._client.get(
                resource, target["name"], namespace=metadata["namespace"], subresource="scale"
            )
        except ApiError as error:
            raise self._lack_scale(this, error.message) from error
        message = "the HPA controller was able to get the target's current scale"
        this.set_condition("AbleToScale", status=True, reason="SucceededGetScale", message=message)
        return resource, scale

    def _lack_scale(self, this: _Round, text: str) -> _Stop:
        self._warn(this, "FailedGetScale", text)
        message = f"the HPA controller was unable to get the target's current scale: {text}"
        this.set_condition("AbleToScale", status=False, reason="FailedGetScale", message=message)
        return _Stop(text)

    async def _compute(
        self, this: _Round, key: str, scale: JsonObject, current: int
    ) -> tuple[int, str, list[JsonObject]]:
        """Return the size that the metrics ask for, by which of them, and all of them for the status. Raises _Stop."""
        try:
            target = self._read_target(this, key, scale, current)
        except _Stop:
            this.show(current, None)
            raise
        spec = this.autoscaler["spec"]
        tolerances, now = _tolerances(spec.get("behavior") or {}), clock.now()
        replicas, name = 0, ""
        faults: list[MetricFault] = []
        shown: list[JsonObject] = []
        for metric in spec.get("metrics") or ():
            try:
                proposal = await self._proposals.propose(metric, target, tolerances, now)
            except MetricFault as fault:
                self._warn(this, fault.reason, fault.message)
                faults.append(fault)
                shown.append({"type": ""})
                continue
            shown.append(proposal.status)
            if not name or proposal.replicas > replicas:
                replicas, name = proposal.replicas, proposal.name
        count = len(shown)
        summary = (
            f"invalid metrics ({len(faults)} invalid out of {count}), first error is: {faults[0]}"
            if faults
            else ""
        )
        if faults and (len(faults) == count or replicas < current):
            first = faults[0]
            message = f"the HPA was unable to compute the replica count: {first.message}"
            this.set_condition("ScalingActive", status=False, reason=first.reason, message=message)
            this.show(current, shown)
            self._warn(this, "FailedComputeMetricsReplicas", summary)
            raise _Stop(summary)
        message = f"the HPA was able to successfully calculate a replica count from {name}"
        this.set_condition("ScalingActive", status=True, reason="ValidMetricFound", message=message)
        return replicas, name, shown

    def _read_target(self, this: _Round, key: str, scale: JsonObject, current: int) -> Target:
        namespace = this.autoscaler["metadata"]["namespace"]
        text = (scale.get("status") or {}).get("selector") or ""
        if not text:
            message = "the HPA target's scale is missing a selector"
            raise self._refuse(this, "SelectorRequired", "selector is required", "InvalidSelector", message)
        try:
            selector = parse_label_selector(text)
        except SelectorError as error:
            message = f"couldn't convert selector into a corresponding internal selector object: {error}"
            raise self._refuse(this, "InvalidSelector", message, "InvalidSelector", message) from error
        self._selectors[key] = selector
        pods = [
            one
            for one in self._pods.list(namespace=namespace)
            if selector.matches(one["metadata"].get("labels") or {})
        ]
        rivals = self._find_rivals(key, namespace, pods)
        if rivals:
            named = " ".join(sorted((key, *rivals)))
            message = f"pods by selector {selector} are controlled by multiple HPAs: [{named}]"
            raise self._refuse(this, "AmbiguousSelector", message, "AmbiguousSelector", message)
        return Target(
            namespace=namespace,
            spec_replicas=current,
            status_replicas=(scale.get("status") or {}).get("replicas") or 0,
            selector=selector,
            pods=pods,
        )

    def _find_rivals(self, key: str, namespace: str, pods: list[JsonObject]) -> list[str]:
        found: Counter[str] = Counter()
        for other, selector in self._selectors.items():
            if other != key and other.startswith(f"{namespace}/"):
                found[other] += sum(selector.matches(one["metadata"].get("labels") or {}) for one in pods)
        return [other for other, count in found.items() if count]

    def _refuse(self, this: _Round, event: str, text: str, reason: str, message: str) -> _Stop:
        self._warn(this, event, text)
        this.set_condition("ScalingActive", status=False, reason=reason, message=message)
        self._warn(this, "FailedComputeMetricsReplicas", text)
        return _Stop(text)

    async def _write_scale(
        self,
        this: _Round,
        resource: Resource,
        scale: JsonObject,
        desired: int,
        reason: str,
        metrics: list[JsonObject] | None,
    ) -> None:
        before = (scale.get("spec") or {}).get("replicas") or 0
        body: JsonObject = deep_copy(scale)
        body.setdefault("spec", {})["replicas"] = desired
        try:
            await self._client.update(resource, body, subresource="scale")
        except ApiError as error:
            self._warn(
                this, "FailedRescale", f"New size: {desired}; reason: {reason}; error: {error.message}"
            )
            message = f"the HPA controller was unable to update the target scale: {error.message}"
            this.set_condition("AbleToScale", status=False, reason="FailedUpdateScale", message=message)
            this.show(before, metrics)
            raise _Stop(error.message) from error
        message = f"the HPA controller was able to update the target scale to {desired}"
        this.set_condition("AbleToScale", status=True, reason="SucceededRescale", message=message)
        text = f"New size: {desired}; reason: {reason}"
        self._recorder.event(this.autoscaler, "Normal", "SuccessfulRescale", text)

    async def _write(self, this: _Round) -> None:
        """Write the status if it is another one. Raises ApiError."""
        status = this.result()
        if status == (this.autoscaler.get("status") or {}):
            return
        body: JsonObject = deep_copy(this.autoscaler)
        body["status"] = status
        try:
            await self._client.update(HORIZONTAL_POD_AUTOSCALERS, body, subresource="status")
        except ApiError as error:
            if error.code != 404:
                self._warn(this, "FailedUpdateStatus", error.message)
                raise

    def _warn(self, this: _Round, reason: str, message: str) -> None:
        self._recorder.event(this.autoscaler, "Warning", reason, message)

    def _find_resource(self, api_version: str, kind: str) -> Resource | None:
        found = self._kinds.find_by_kind(api_version, kind)
        if found is None:  # another version of the group serves the kind too
            group = api_version.rpartition("/")[0]
            found = next((one for one in self._kinds if (one.group, one.kind) == (group, kind)), None)
        return found.resource if found is not None else None


def _keys_of(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    found = new if new is not None else old
    return (key_of(found),) if found is not None else ()


def _tolerances(behavior: JsonObject) -> Tolerances:
    def read(rules: str) -> float:
        text = (behavior.get(rules) or {}).get("tolerance")
        return float(parse_quantity(text)) if text is not None else _TOLERANCE

    return Tolerances(down=read("scaleDown"), up=read("scaleUp"))


def build(context: ControllerContext) -> HorizontalPodAutoscalerController:
    """Make the controller."""
    return HorizontalPodAutoscalerController(context)
