"""A request as webhooks and policies see it: the `request` of an AdmissionReview, without the objects.

Source: k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.user import User
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.apiserver.registry.options import DeleteOptions
    from k3py.jsontypes import JsonObject

_META: Final = "meta.k8s.io/v1"


def describe(request: AdmissionRequest, kind: Kind) -> JsonObject:
    """Return what is asked, in the version of `kind`; parts that are empty are left out."""
    document: JsonObject = {
        "kind": _body_kind(request, kind),
        "resource": _resource(kind),
        "requestKind": _body_kind(request, request.kind),
        "requestResource": _resource(request.kind),
    }
    if request.subresource:
        document["subResource"] = document["requestSubResource"] = request.subresource
    if request.name:
        document["name"] = request.name
    if request.namespace:
        document["namespace"] = request.namespace
    document["operation"] = request.operation
    document["userInfo"] = _user(request.user)
    document["dryRun"] = request.dry_run
    document["options"] = _options(request)
    return document


def _resource(kind: Kind) -> JsonObject:
    return {"group": kind.group, "version": kind.version, "resource": kind.plural}


def _body_kind(request: AdmissionRequest, kind: Kind) -> JsonObject:
    """Return the kind of the object: subresources may have one of their own (Scale, Eviction, …)."""
    obj = request.obj or {}
    if not request.subresource or obj.get("kind") in (None, request.kind.kind):
        return {"group": kind.group, "version": kind.version, "kind": kind.kind}
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    return {"group": group, "version": version, "kind": obj["kind"]}


def _user(user: User) -> JsonObject:
    found: JsonObject = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return {key: value for key, value in found.items() if value}


def _options(request: AdmissionRequest) -> JsonObject | None:
    match request.operation:
        case "CONNECT":
            return None
        case "DELETE":
            document = {"kind": "DeleteOptions", "apiVersion": _META}
            return document | (_delete_options(request.deletion) if request.deletion is not None else {})
    kind = "CreateOptions" if request.operation == "CREATE" else "UpdateOptions"
    options: JsonObject = {"kind": kind, "apiVersion": _META}
    if request.dry_run:
        options["dryRun"] = ["All"]
    for key in ("fieldManager", "fieldValidation"):
        if request.options.get(key):
            options[key] = request.options[key]
    return options


def _delete_options(options: DeleteOptions) -> JsonObject:
    preconditions = {"uid": options.uid, "resourceVersion": options.resource_version}
    found: JsonObject = {
        "gracePeriodSeconds": options.grace_period_s,
        "preconditions": {key: one for key, one in preconditions.items() if one is not None} or None,
        "orphanDependents": options.orphan_dependents,
        "propagationPolicy": options.propagation or None,
        "dryRun": ["All"] if options.dry_run else None,
    }
    return {key: value for key, value in found.items() if value is not None}
