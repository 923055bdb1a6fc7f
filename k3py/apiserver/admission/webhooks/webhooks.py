"""All that webhook plugins need, put together once for a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.apiserver.admission.webhooks.client import WebhookClient
from k3py.apiserver.admission.webhooks.dispatch import WebhookDispatch
from k3py.apiserver.admission.webhooks.index import WebhookIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from k3py.api.registry import KindRegistry
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.admission.metrics import AdmissionMetrics
    from k3py.apiserver.admission.webhooks.credentials import WebhookCredentials
    from k3py.apiserver.interface import Authorizer
    from k3py.apiserver.registry.seams import ObjectSchemas
    from k3py.jsontypes import JsonObject

_GROUP: Final = "admissionregistration.k8s.io"


class Webhooks:
    """Indexes of both kinds of configurations, and the client that asks."""

    def __init__(
        self,
        *,
        kinds: KindRegistry,
        lookup: Lookup,
        authorizer: Authorizer,
        schemas: ObjectSchemas,
        open_session: Callable[[], aiohttp.ClientSession],
        metrics: AdmissionMetrics,
        mutating: WebhookCredentials | None = None,
        validating: WebhookCredentials | None = None,
    ) -> None:
        self.mutating = WebhookIndex()
        self.validating = WebhookIndex()
        self.client = WebhookClient(open_session, mutating=mutating, validating=validating)
        self.dispatch = WebhookDispatch(self.client, kinds, lookup, authorizer, metrics)
        self.kinds = kinds
        self.schemas = schemas

    def handlers(self) -> dict[tuple[str, str], Callable[[tuple[str, str], JsonObject | None], None]]:
        """Return what follows the configurations, by (group, plural)."""
        return {
            (_GROUP, "mutatingwebhookconfigurations"): self.mutating.handle,
            (_GROUP, "validatingwebhookconfigurations"): self.validating.handle,
        }
