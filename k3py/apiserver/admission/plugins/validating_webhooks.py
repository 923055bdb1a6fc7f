"""Asks webhooks whether a write may happen, all at once.

Source: k8s.io/apiserver/pkg/admission/plugin/webhook/validating v0.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.apiserver.admission.matching import convert
from k3py.apiserver.admission.plugins.base import BasePlugin

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.apiserver.admission.webhooks.dispatch import WebhookDispatch
    from k3py.apiserver.admission.webhooks.index import Webhook, WebhookIndex
    from k3py.apiserver.interface import AdmissionRequest

_PLACE: Final = "validating.webhook.admission.k8s.io"


class ValidatingWebhooks(BasePlugin):
    """See the module."""

    name = "ValidatingAdmissionWebhook"

    def __init__(self, index: WebhookIndex, dispatch: WebhookDispatch) -> None:
        self._index = index
        self._dispatch = dispatch

    def handles(self, request: AdmissionRequest) -> bool:
        """See everything as long as there are webhooks."""
        return bool(self._index.hooks)

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse what a webhook refuses. Raises ApiError."""
        asked: list[tuple[int, Webhook, Kind]] = []
        for index, hook in enumerate(self._index.hooks):
            kind = await self._dispatch.find_version(hook, request)
            if kind is not None:
                asked.append((index, hook, kind))
        if not asked:
            return
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(index, hook, request, kind)) for index, hook, kind in asked]
        for task in tasks:
            if (fault := task.result()) is not None:
                raise fault

    async def _ask(self, index: int, hook: Webhook, request: AdmissionRequest, kind: Kind) -> ApiError | None:
        try:
            obj = await convert(request, kind, request.obj)
            _ = await self._dispatch.ask(
                hook, request, kind, obj, may_patch=False, place=f"{_PLACE}/round_0_index_{index}"
            )
        except ApiError as fault:
            return fault
        return None
