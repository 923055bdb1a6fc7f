"""Binding pods to nodes: POST of pods/<name>/binding, and of bindings.

Source: k8s.io/kubernetes/pkg/registry/core/pod/storage/storage.go (BindingREST) v1.35.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import PODS
from k3py.api.status import ApiError, bad_request, conflict
from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.decoding import decode_object, settle_namespace
from k3py.apiserver.registry.options import write_options
from k3py.apiserver.registry.subresources.bodies import BINDING, check_body_name

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView

SUCCESS: Final = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def create_binding(call: Call) -> ObjectResult:
    """Answer POST of `bindings`: the pod is the one that metadata.name names. Raises ApiError, StorageError."""
    binding = decode_object(call, BINDING, field_validation="Ignore")
    name = binding["metadata"].get("name") or ""
    if not name:
        raise bad_request("name is required")
    kind = call.services.kinds.find("", "v1", PODS.plural)
    if kind is None:
        raise bad_request("pods are not served")
    store = await call.services.storage.store_for(kind)
    request = dataclasses.replace(call.request, name=name)
    return await handle_binding(dataclasses.replace(call, kind=kind, request=request, opened=store))


async def handle_binding(call: Call) -> ObjectResult:
    """Bind the pod that the URL names. Raises ApiError, StorageError."""
    options = write_options(call.request, "CreateOptions")
    binding = decode_object(call, BINDING, field_validation=options.field_validation)
    settle_namespace(call.kind, binding, call.namespace)
    name = call.request.name
    check_body_name(binding["metadata"].get("name") or "", name, "Binding")
    request = call.admission_request("CREATE", name=name, obj=binding, old=None, dry_run=options.dry_run)
    await call.services.admission.admit(request)
    await call.services.admission.validate(request)
    _validate(binding)

    async def bind(view: ObjectView) -> JsonObject | None:
        bound = _bind(view.parsed, binding, call.now())
        return None if options.dry_run else bound

    await call.store.update(call.namespace, name, bind)
    return ObjectResult(kind=None, document=dict(SUCCESS), status_code=201)


def _validate(binding: JsonObject) -> None:
    """Check the target; upstream answers these with 500 and no reason."""
    target = binding.get("target") or {}
    if target.get("kind") not in (None, "", "Node"):
        raise ApiError(
            500,
            "",
            f'target.kind: Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"',
        )
    if not target.get("name"):
        raise ApiError(500, "", "target.name: Required value")


def _bind(pod: JsonObject, binding: JsonObject, now: str) -> JsonObject:
    metadata, spec = pod["metadata"], pod["spec"]
    name = metadata["name"]
    wanted = binding["metadata"]
    for label, key in (("UID", "uid"), ("ResourceVersion", "resourceVersion")):
        if wanted.get(key) and wanted[key] != metadata[key]:
            raise _conflict(
                name,
                f"Precondition failed: {label} in precondition: {wanted[key]}, {label} in object meta: {metadata[key]}",
            )
    if metadata.get("deletionTimestamp"):
        raise _conflict(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise _conflict(name, f'pod {name} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise _conflict(name, f"pod {name} has non-empty .spec.schedulingGates")
    bound: JsonObject = deep_copy(pod)
    bound["spec"]["nodeName"] = binding["target"]["name"]
    for field in ("annotations", "labels"):
        if wanted.get(field):
            bound["metadata"][field] = {**(bound["metadata"].get(field) or {}), **wanted[field]}
    status = bound.setdefault("status", {})
    status.pop("nominatedNodeName", None)  # the pod has its node
    _set_scheduled(status, now)
    return bound


def _set_scheduled(status: JsonObject, now: str) -> None:
    conditions = status.get("conditions") or []
    condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    for index, one in enumerate(conditions):
        if one.get("type") == "PodScheduled":
            if one.get("status") == "True":
                condition["lastTransitionTime"] = one.get("lastTransitionTime") or now
            conditions[index] = condition
            break
    else:
        conditions.append(condition)
    status["conditions"] = conditions


def _conflict(name: str, message: str) -> ApiError:
    return conflict("", "pods/binding", name, message)
