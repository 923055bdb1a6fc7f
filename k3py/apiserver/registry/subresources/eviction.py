"""pods/eviction: a delete that asks the pod's disruption budget first.

Source: k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go v1.35.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.selectors import SelectorError, selector_from_object
from k3py.api.status import ApiError
from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.decoding import decode_object, settle_namespace
from k3py.apiserver.registry.delete import delete_object
from k3py.apiserver.registry.options import DeleteOptions, delete_options, write_options
from k3py.apiserver.registry.subresources.bodies import EVICTION, check_body_name
from k3py.storage.interface import ListQuery

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Store

_SUCCESS: Final = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_OLD_VERSION: Final = "policy/v1beta1"
_MOST_DISRUPTED: Final = 2000
_RETRY_S: Final = 10


async def handle_eviction(call: Call) -> ObjectResult:
    """Evict the pod that the URL names. Raises ApiError, StorageError."""
    create_options = write_options(call.request, "CreateOptions")
    if isinstance(call.request.body, dict) and call.request.body.get("apiVersion") == _OLD_VERSION:
        call.request.body["apiVersion"] = EVICTION.api_version  # the same fields
    eviction = decode_object(call, EVICTION, field_validation=create_options.field_validation)
    settle_namespace(call.kind, eviction, call.namespace)
    name = call.request.name
    request = call.admission_request(
        "CREATE", name=name, obj=eviction, old=None, dry_run=create_options.dry_run
    )
    await call.services.admission.admit(request)
    await call.services.admission.validate(request)
    check_body_name(eviction["metadata"].get("name") or "", name, "Eviction")
    options = _delete_options(call, eviction)
    if create_options.dry_run:
        options = dataclasses.replace(options, dry_run=True)
    view = await call.store.get(call.namespace, name)
    if not _is_free(view.parsed):
        await _ask_budgets(call, view.parsed, dry_run=options.dry_run)
    if not options.dry_run:
        await call.store.update(call.namespace, name, _Mark(call.now()).change)
    await delete_object(call, name, options)
    return ObjectResult(kind=None, document=dict(_SUCCESS), status_code=201)


class _Mark:
    """Says in a pod's conditions why it goes."""

    def __init__(self, now: str) -> None:
        self._now = now

    async def change(self, view: ObjectView) -> JsonObject:
        pod: JsonObject = deep_copy(view.parsed)
        status = pod.setdefault("status", {})
        conditions = [one for one in status.get("conditions") or () if one.get("type") != "DisruptionTarget"]
        condition: JsonObject = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": self._now,
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        status["conditions"] = [*conditions, condition]
        return pod


def _delete_options(call: Call, eviction: JsonObject) -> DeleteOptions:
    return delete_options(
        dataclasses.replace(call.request, body=eviction.get("deleteOptions") or None, options={})
    )


def _is_free(pod: JsonObject) -> bool:
    """Say whether a pod counts for no budget: it does not run, or is going already."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


async def _ask_budgets(call: Call, pod: JsonObject, *, dry_run: bool) -> None:
    kind = call.services.kinds.find("policy", "v1", "poddisruptionbudgets")
    if kind is None:
        return
    store = await call.services.storage.store_for(kind)
    page = await store.list(ListQuery(namespace=call.namespace))
    budgets = [view for view in page.items if _matches(view.parsed, pod)]
    if len(budgets) > 1:
        text = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
        raise ApiError(500, "", text)
    if not budgets:
        return
    budget = budgets[0].parsed
    if _is_unhealthy_and_free(pod, budget):
        return
    await _take_disruption(store, budgets[0], pod["metadata"]["name"], call.now(), dry_run=dry_run)


def _matches(budget: JsonObject, pod: JsonObject) -> bool:
    try:
        selector = selector_from_object((budget.get("spec") or {}).get("selector"))
    except SelectorError:
        return False
    return selector.matches(pod["metadata"].get("labels") or {})


def _is_unhealthy_and_free(pod: JsonObject, budget: JsonObject) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions):
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    return bool(
        status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0)
        and status.get("desiredHealthy", 0) > 0
    )


async def _take_disruption(store: Store, view: ObjectView, pod: str, now: str, *, dry_run: bool) -> None:
    async def take(current: ObjectView) -> JsonObject | None:
        budget: JsonObject = deep_copy(current.parsed)
        status = budget.setdefault("status", {})
        _check_budget(budget, status)
        status["disruptionsAllowed"] -= 1
        status.setdefault("disruptedPods", {})[pod] = now
        return None if dry_run else budget

    await store.update(view.namespace, view.name, take)


def _check_budget(budget: JsonObject, status: JsonObject) -> None:
    name = budget["metadata"]["name"]
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _blocked(f"The disruption budget {name} is still being processed by the server.", _RETRY_S)
    allowed = status.get("disruptionsAllowed", 0)
    if allowed < 0:
        raise ApiError(403, "Forbidden", f"pdb {name}: disruptionsAllowed is negative", details={})
    if len(status.get("disruptedPods") or {}) > _MOST_DISRUPTED:
        raise ApiError(
            403, "Forbidden", "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        )
    if allowed == 0:
        raise _blocked(
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
            f"{status.get('currentHealthy', 0)} currently",
            None,
        )


def _blocked(message: str, retry_after_s: int | None) -> ApiError:
    return ApiError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [{"reason": "DisruptionBudget", "message": message}]},
        retry_after_s=retry_after_s,
    )
