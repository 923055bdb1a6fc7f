"""Tells by the status of PodDisruptionBudgets how many pods may be evicted now.

Source: kubernetes/pkg/controller/disruption v1.35.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import (
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
    Resource,
)
from k3py.api.selectors import selector_from_object
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import find_controller
from k3py.controllers.pod import find_condition, is_finished, is_ready
from k3py.controllers.share import resolve_share
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

DELETION_S: Final = 120
_STALE: Final = "stale:"
_SCALED: Final = (REPLICATION_CONTROLLERS, REPLICA_SETS, STATEFUL_SETS, DEPLOYMENTS)
_UNMANAGED: Final = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the "
    "PodDisruptionBudget cannot be calculated correctly, which may result in undefined behavior. To account for these pods "
    'please set ".spec.minAvailable" field of the PodDisruptionBudget to an integer value.'
)


class _NoScale(Exception):
    """How many pods are expected cannot be told; the text says why."""


def needs_scale(budget: JsonObject) -> bool:
    """Say whether the budget counts in shares of what controllers ask for."""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or not isinstance(spec.get("minAvailable"), int)


def plan_desired(budget: JsonObject, expected: int) -> int:
    """Return how many healthy pods the budget wants of `expected` ones."""
    spec = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        return max(0, expected - resolve_share(spec["maxUnavailable"], expected, round_up=True))
    if spec.get("minAvailable") is not None:
        return resolve_share(spec["minAvailable"], expected, round_up=True)
    return 0


def plan_disrupted(
    budget: JsonObject, pods: Sequence[JsonObject], now: datetime
) -> tuple[dict[str, str], list[JsonObject], float | None]:
    """Return evicted pods that are still to go, those that should have gone by now, and when to look again in seconds."""
    noted = (budget.get("status") or {}).get("disruptedPods") or {}
    disrupted: dict[str, str] = {}
    overdue = []
    wait_s: float | None = None
    for pod in pods:
        at = noted.get(pod["metadata"]["name"])
        if at is None or "deletionTimestamp" in pod["metadata"]:
            continue
        left_s = (parse_time(at) + timedelta(seconds=DELETION_S) - now).total_seconds()
        if left_s < 0:
            overdue.append(pod)
            continue
        disrupted[pod["metadata"]["name"]] = at
        wait_s = left_s if wait_s is None else min(wait_s, left_s)
    return disrupted, overdue, wait_s


def plan_status(
    budget: JsonObject, pods: Sequence[JsonObject], disrupted: dict[str, str], expected: int, now: datetime
) -> JsonObject:
    """Return the status."""
    healthy = sum(
        1
        for pod in pods
        if is_ready(pod)
        and "deletionTimestamp" not in pod["metadata"]
        and pod["metadata"]["name"] not in disrupted
    )
    desired = plan_desired(budget, expected)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    status: JsonObject = {
        "observedGeneration": budget["metadata"].get("generation", 0),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    reason = "SufficientPods" if allowed else "InsufficientPods"
    status["conditions"] = _conditions(budget, "True" if allowed else "False", reason, "", now)
    return status


def _conditions(budget: JsonObject, value: str, reason: str, message: str, now: datetime) -> list[JsonObject]:
    old = (budget.get("status") or {}).get("conditions") or ()
    known = next((one for one in old if one["type"] == "DisruptionAllowed"), None)
    since = (
        known["lastTransitionTime"] if known is not None and known["status"] == value else format_time(now)
    )
    condition = {
        "type": "DisruptionAllowed",
        "status": value,
        "observedGeneration": budget["metadata"].get("generation", 0),
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
    return [*(one for one in old if one is not known), condition]


class DisruptionController:
    """See the module."""

    name = "disruption-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._kinds = context.kinds
        budgets = context.informers.informer(POD_DISRUPTION_BUDGETS)
        pods = context.informers.informer(PODS)
        self._budgets, self._pods = budgets.lister, pods.lister
        scaled = {one: context.informers.informer(one) for one in _SCALED}
        self._scaled = {resource: informer.lister for resource, informer in scaled.items()}
        self.watches = (
            Watch(budgets, self._keys_of_budget),
            Watch(pods, self._keys_of_pod),
            *(Watch(informer, self._keys_of_owner) for informer in scaled.values()),
        )

    def _keys_of_budget(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return (key_of(new),) if new is not None else ()

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys = set()
        for pod in (old, new):
            if pod is None:
                continue
            labels = pod["metadata"].get("labels") or {}
            for budget in self._budgets.list(pod["metadata"]["namespace"]):
                if selector_from_object(budget["spec"].get("selector")).matches(labels):
                    keys.add(key_of(budget))
        if new is not None and _is_stale_candidate(new):
            keys.add(_STALE + key_of(new))
        return keys

    def _keys_of_owner(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """A changed scale changes what is expected; everything else does not matter."""
        sizes = [one["spec"].get("replicas") for one in (old, new) if one is not None]
        if len(sizes) == 2 and sizes[0] == sizes[1]:
            return ()
        namespace = (new or old or {"metadata": {}})["metadata"].get("namespace", "")
        return [key_of(one) for one in self._budgets.list(namespace) if needs_scale(one)]

    async def reconcile(self, key: str) -> float | None:
        """Compute one budget's status, or take back a pod's announcement of a disruption that did not come."""
        if key.startswith(_STALE):
            return await self._clear_stale(key.removeprefix(_STALE))
        namespace, name = split_key(key)
        budget = self._budgets.find(namespace, name)
        if budget is None:
            return None
        selector = selector_from_object(budget["spec"].get("selector"))
        pods = [
            pod for pod in self._pods.list(namespace) if selector.matches(pod["metadata"].get("labels") or {})
        ]
        now = clock.now()
        if not pods:
            self._recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        disrupted, overdue, wait_s = plan_disrupted(budget, pods, now)
        try:
            expected = await self._expected(budget, pods)
            status = plan_status(budget, pods, disrupted, expected, now)
        except _NoScale as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self._recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            status = {**(budget.get("status") or {}), "disruptionsAllowed": 0}
            status["observedGeneration"] = budget["metadata"].get("generation", 0)
            status["conditions"] = _conditions(budget, "False", "SyncFailed", str(error), now)
        for pod in overdue:
            message = f"Pod was expected by PDB {key} to be deleted but it wasn't"
            self._recorder.event(pod, "Warning", "NotDeleted", message)
        if status != (budget.get("status") or {}):
            await self._client.update(
                POD_DISRUPTION_BUDGETS, {**budget, "status": status}, subresource="status"
            )
        return wait_s

    async def _expected(self, budget: JsonObject, pods: Sequence[JsonObject]) -> int:
        if not needs_scale(budget):
            return len(pods)
        scales: dict[str, int] = {}
        unmanaged = False
        for pod in pods:
            reference = find_controller(pod)
            if reference is None:
                unmanaged = True
            elif reference["uid"] not in scales:
                uid, scale = await self._scale_of(pod, reference)
                scales[reference["uid"]] = 0
                scales[uid] = scale
        if unmanaged:
            selector = selector_from_object(budget["spec"].get("selector"))
            self._recorder.event(budget, "Warning", "UnmanagedPods", _UNMANAGED.format(selector))
        return sum(scales.values())

    async def _scale_of(self, pod: JsonObject, reference: JsonObject) -> tuple[str, int]:
        """Return the uid and size of what manages the pod in the end."""
        namespace = pod["metadata"]["namespace"]
        for resource, lister in self._scaled.items():
            if (resource.kind, resource.api_version) != (reference["kind"], reference["apiVersion"]):
                continue
            owner = lister.find(namespace, reference["name"])
            if owner is None or owner["metadata"]["uid"] != reference["uid"]:
                break
            above = find_controller(owner)
            if resource is REPLICA_SETS and above is not None and above["kind"] == "Deployment":
                return await self._scale_of(pod, above)
            return str(reference["uid"]), int(owner["spec"].get("replicas", 1))
        else:
            return str(reference["uid"]), await self._foreign_scale(namespace, reference)
        raise _NoScale(f'found no controllers for pod "{pod["metadata"]["name"]}"')

    async def _foreign_scale(self, namespace: str, reference: JsonObject) -> int:
        group, _, version = str(reference["apiVersion"]).rpartition("/")
        kind = self._kinds.find_by_kind(reference["apiVersion"], reference["kind"])
        if kind is None or not any(one.name == "scale" for one in kind.subresources):
            raise _NoScale(f"{reference['kind']}.{group} does not implement the scale subresource")
        resource = Resource(group, version, kind.plural, kind.kind)
        try:
            scale = await self._client.get(
                resource, reference["name"], namespace=namespace, subresource="scale"
            )
        except ApiError as error:
            raise _NoScale(error.message) from error
        return int((scale.get("spec") or {}).get("replicas", 0))

    async def _clear_stale(self, key: str) -> float | None:
        namespace, name = split_key(key)
        pod = self._pods.find(namespace, name)
        if pod is None or not _is_stale_candidate(pod):
            return None
        condition = find_condition(pod, "DisruptionTarget") or {}
        now = clock.now()
        left_s = DELETION_S - (now - parse_time(condition["lastTransitionTime"])).total_seconds()
        if left_s > 0:
            return float(left_s)
        new = {"type": "DisruptionTarget", "status": "False", "lastTransitionTime": format_time(now)}
        patch = {
            "metadata": {"uid": pod["metadata"]["uid"]},
            "status": {"conditions": [{**new, "reason": None, "message": None}]},
        }
        try:
            await self._client.patch(PODS, name, patch, namespace=namespace, subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return None


def _is_stale_candidate(pod: JsonObject) -> bool:
    condition = find_condition(pod, "DisruptionTarget")
    if condition is None or condition["status"] != "True" or not condition.get("lastTransitionTime"):
        return False
    return "deletionTimestamp" not in pod["metadata"] and not is_finished(pod)


def build(context: ControllerContext) -> DisruptionController:
    """Make the controller."""
    return DisruptionController(context)
