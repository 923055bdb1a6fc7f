"""Lets webhooks change what is written, one after another.

Source: k8s.io/apiserver/pkg/admission/plugin/webhook/mutating v0.35.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.object import deep_copy
from k3py.api.patch.json_patch import apply_json_patch
from k3py.api.status import ApiError, internal_error
from k3py.apiserver.admission.matching import convert, convert_object
from k3py.apiserver.admission.plugins.base import BasePlugin
from k3py.apiserver.interface import Reinvocation
from k3py.apiserver.registry.metadata import validate_managed_fields
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.apiserver.admission.webhooks.dispatch import WebhookDispatch
    from k3py.apiserver.admission.webhooks.index import Webhook, WebhookIndex
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.apiserver.registry.seams import ObjectSchemas
    from k3py.jsontypes import JsonObject, JsonValue

_PLACE: Final = "mutation.webhook.admission.k8s.io"


class MutatingWebhooks(BasePlugin):
    """See the module."""

    name = "MutatingAdmissionWebhook"

    def __init__(self, index: WebhookIndex, dispatch: WebhookDispatch, schemas: ObjectSchemas) -> None:
        self._index = index
        self._dispatch = dispatch
        self._schemas = schemas

    def handles(self, request: AdmissionRequest) -> bool:
        """See everything as long as there are webhooks."""
        return bool(self._index.hooks)

    async def admit(self, request: AdmissionRequest) -> None:
        """Ask all webhooks; the second time those that want to see what has changed after them. Raises ApiError."""
        again = request.reinvocation or Reinvocation()
        owners = ((request.obj or {}).get("metadata") or {}).get("managedFields")
        if again.running and again.last != request.obj:
            _require_all(again)  # plugins changed the object in the meantime
        for index, hook in enumerate(self._index.hooks):
            kind = await self._dispatch.find_version(hook, request)
            if kind is None or (again.running and hook.uid not in again.due):
                continue
            place = f"{_PLACE}/round_{int(again.running)}_index_{index}"
            changed = await self._ask(hook, request, kind, place)
            _note(request, hook, place, changed=changed)
            if changed:
                _require_all(again)
                again.wanted = True
            if hook.is_reinvoked:
                again.invoked.add(hook.uid)
        if again.wanted:
            _check_owners(request, owners)
            again.last = deep_copy(request.obj)
            request.reinvocation = again

    async def _ask(self, hook: Webhook, request: AdmissionRequest, kind: Kind, place: str) -> bool:
        """Say whether a webhook has changed the object."""
        obj = await convert(request, kind, request.obj)
        response = await self._dispatch.ask(hook, request, kind, obj, may_patch=True, place=place)
        if response is None or not response.get("patch"):
            return False
        patch = _decode_patch(response["patch"])
        if not patch:
            return False
        if obj is None or request.obj is None:
            raise internal_error(
                f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this '
                "operation"
            )
        try:
            patched = apply_json_patch(obj, patch)
        except ApiError as fault:
            raise internal_error(fault.message) from fault
        changed = await self._complete(request, kind, patched)
        if changed == request.obj:
            return False
        request.obj.clear()
        request.obj.update(changed)
        return True

    async def _complete(self, request: AdmissionRequest, kind: Kind, patched: JsonObject) -> JsonObject:
        """Return a patched object with what is unknown dropped and defaults filled in, in the request's version."""
        before = request.obj or {}
        if kind is request.kind and any(
            patched.get(key) != before.get(key) for key in ("kind", "apiVersion")
        ):
            raise internal_error(f"a webhook made {patched.get('kind')} of {before.get('kind')}")
        if request.operation == "CONNECT" or patched.get("kind") != kind.kind:
            return patched
        try:
            obj, _ = self._schemas.decode(kind, patched)
        except ApiError:
            raise
        except K3pyError as fault:
            raise internal_error(str(fault)) from fault
        obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
        self._schemas.default(kind, obj)
        if kind is request.kind:
            return obj
        served = await convert_object(kind, request.kind, obj)
        self._schemas.default(request.kind, served)
        return served


def _check_owners(request: AdmissionRequest, before: JsonValue) -> None:
    """Put back who owns which fields if webhooks have left something else in its place.

    Source: k8s.io/apimachinery/pkg/util/managedfields, pkg/endpoints/handlers/fieldmanager/admission.go v0.35.
    """
    metadata = (request.obj or {}).get("metadata")
    if not metadata or metadata.get("managedFields") == before:
        return
    if not metadata.get("managedFields"):
        metadata.pop("managedFields", None)
    elif faults := validate_managed_fields(metadata["managedFields"]):
        if before is None:
            del metadata["managedFields"]
        else:
            metadata["managedFields"] = before
        request.warnings.append(
            ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated "
            f"mutating admission controller; please fix your requests: {faults[0]}"
        )


def _note(request: AdmissionRequest, hook: Webhook, place: str, *, changed: bool) -> None:
    """Say in audit events who was asked, and whether it changed the object."""
    if request.annotations is not None:
        what = {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}
        request.annotate(place, orjson.dumps(what).decode())


def _require_all(again: Reinvocation) -> None:
    again.due |= again.invoked
    again.invoked.clear()


def _decode_patch(text: JsonValue) -> JsonValue:
    try:
        patch: JsonValue = orjson.loads(base64.b64decode(str(text), validate=True))
    except (binascii.Error, ValueError) as fault:
        raise internal_error(f"the patch of a webhook cannot be decoded: {fault}") from fault
    return patch
