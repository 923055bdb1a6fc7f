"""Asks webhooks about requests: who is asked, and what follows from the answer.

Source: k8s.io/apiserver/pkg/admission/plugin/webhook/{generic,matchconditions,errors} v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError, bad_request, internal_error
from k3py.apiserver.admission.matching import convert, is_exempt
from k3py.apiserver.admission.plugins.base import refuse
from k3py.apiserver.admission.review import describe
from k3py.apiserver.admission.webhooks.client import CallFault
from k3py.util import clock

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.admission.metrics import AdmissionMetrics
    from k3py.apiserver.admission.webhooks.client import WebhookClient
    from k3py.apiserver.admission.webhooks.index import Webhook
    from k3py.apiserver.interface import AdmissionRequest, Authorizer
    from k3py.jsontypes import JsonObject

_LEAST_CODE: Final = 400


class WebhookDispatch:
    """What both webhook plugins share."""

    def __init__(
        self,
        client: WebhookClient,
        kinds: KindRegistry,
        lookup: Lookup,
        authorizer: Authorizer,
        metrics: AdmissionMetrics,
    ) -> None:
        self._client = client
        self._kinds = kinds
        self._lookup = lookup
        self._authorizer = authorizer
        self._metrics = metrics

    async def find_version(self, hook: Webhook, request: AdmissionRequest) -> Kind | None:
        """Return the version in which a webhook wants to see a request, None when it does not. Raises ApiError 403."""
        if is_exempt(request.kind):
            return None
        kind = await hook.criteria.match(request, self._kinds, self._lookup)
        if kind is None or not hook.has_conditions:
            return kind
        return kind if await self._conditions_hold(hook, request, kind) else None

    async def _conditions_hold(self, hook: Webhook, request: AdmissionRequest, kind: Kind) -> bool:
        from k3py.apiserver.admission.conditions import check_conditions  # noqa: PLC0415 - brings the expression language

        objects = (await convert(request, kind, request.obj), await convert(request, kind, request.old))
        fault = await check_conditions(
            lambda: hook.conditions, request, kind, objects, lookup=self._lookup, authorizer=self._authorizer
        )
        if isinstance(fault, bool):
            return fault
        if hook.fails:
            raise refuse(request, fault)
        return False

    async def ask(
        self,
        hook: Webhook,
        request: AdmissionRequest,
        kind: Kind,
        obj: JsonObject | None,
        *,
        may_patch: bool,
        place: str,
    ) -> JsonObject | None:
        """Return the answer to a request that is let through, None when there is none and nobody minds; `obj` is in the version of `kind`.

        place: names this turn of the webhook in audit events.

        Raises:
            ApiError: the webhook refuses, or it cannot be asked and must be.
        """
        began_s, rejected = clock.monotonic_s(), True
        try:
            response = await self._ask(hook, request, kind, obj, may_patch=may_patch, place=place)
            rejected = False
        finally:
            what = "admit" if may_patch else "validating"
            self._metrics.observe_webhook(request, hook.name, what, began_s, rejected=rejected)
        return response

    async def _ask(
        self,
        hook: Webhook,
        request: AdmissionRequest,
        kind: Kind,
        obj: JsonObject | None,
        *,
        may_patch: bool,
        place: str,
    ) -> JsonObject | None:
        if request.dry_run and hook.has_side_effects:
            raise bad_request(f"admission webhook {hook.name} does not support dry run")
        review = {
            **describe(request, kind),
            "object": obj,
            "oldObject": await convert(request, kind, request.old),
        }
        try:
            response = await self._client.ask(hook, review, may_patch=may_patch)
        except CallFault as fault:
            if not hook.fails:
                request.annotate(f"failed-open.{place}", hook.name)
                return None
            raise internal_error(f'failed calling webhook "{hook.name}": {fault}') from fault
        for key, value in (response.get("auditAnnotations") or {}).items():
            request.annotate(f"{hook.name}/{key}", str(value))
        request.warnings.extend(str(one) for one in response.get("warnings") or ())
        if not response.get("allowed"):
            raise _refusal(hook.name, response.get("status"))
        return response


def _refusal(name: str, status: JsonObject | None) -> ApiError:
    """Return the error with which a webhook refuses."""
    found = status if isinstance(status, dict) else {}
    code = found.get("code")
    reason, message = str(found.get("reason") or ""), found.get("message")
    start = f'admission webhook "{name}" denied the request'
    text = f"{start}: {message or reason}" if message or reason else f"{start} without explanation"
    details = found.get("details")
    return ApiError(
        code if isinstance(code, int) and code >= _LEAST_CODE else _LEAST_CODE,
        reason,
        text,
        details=details if isinstance(details, dict) else None,
    )
