"""The chain: all plugins mutate in upstream's order, later all of them look at the result (api-machinery.md §4.7)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from k3py.apiserver.admission.metrics import AdmissionMetrics
from k3py.apiserver.admission.plugins.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from k3py.apiserver.admission.plugins.default_class import DefaultIngressClass, DefaultStorageClass
from k3py.apiserver.admission.plugins.default_toleration_seconds import DefaultTolerationSeconds
from k3py.apiserver.admission.plugins.limit_ranger import LimitRanger
from k3py.apiserver.admission.plugins.mutating_webhooks import MutatingWebhooks
from k3py.apiserver.admission.plugins.namespace_lifecycle import NamespaceLifecycle
from k3py.apiserver.admission.plugins.node_restriction import NodeRestriction
from k3py.apiserver.admission.plugins.persistent_volume_claim_resize import PersistentVolumeClaimResize
from k3py.apiserver.admission.plugins.pod_security import PodSecurity
from k3py.apiserver.admission.plugins.pod_topology_labels import PodTopologyLabels
from k3py.apiserver.admission.plugins.priority import Priority
from k3py.apiserver.admission.plugins.resource_quota import ResourceQuota
from k3py.apiserver.admission.plugins.runtime_class import RuntimeClassAdmission
from k3py.apiserver.admission.plugins.service_account import ServiceAccountAdmission
from k3py.apiserver.admission.plugins.storage_object_in_use_protection import StorageObjectInUseProtection
from k3py.apiserver.admission.plugins.taint_nodes_by_condition import TaintNodesByCondition
from k3py.apiserver.admission.plugins.validating_policies import ValidatingPolicies
from k3py.apiserver.admission.plugins.validating_webhooks import ValidatingWebhooks
from k3py.apiserver.admission.settings import AdmissionSettings
from k3py.util import clock
from k3py.util.metrics import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.admission.policies.index import PolicyIndex
    from k3py.apiserver.admission.webhooks.webhooks import Webhooks
    from k3py.apiserver.interface import AdmissionPlugin, AdmissionRequest, Authorizer

# Off by default: module and class.
_OPTIONAL: Final = {
    "AlwaysPullImages": ("always_pull_images", "AlwaysPullImages"),
    "DenyServiceExternalIPs": ("deny_service_external_ips", "DenyServiceExternalIPs"),
    "EventRateLimit": ("event_rate_limit", "EventRateLimit"),
    "ExtendedResourceToleration": ("extended_resource_toleration", "ExtendedResourceToleration"),
}


class AdmissionChain:
    """Runs plugins one after another; the first refusal ends it. `metrics` hears how long they took."""

    def __init__(self, plugins: Sequence[AdmissionPlugin], metrics: AdmissionMetrics | None = None) -> None:
        self._plugins = tuple(plugins)
        self._metrics = metrics or AdmissionMetrics(Registry())

    async def admit(self, request: AdmissionRequest) -> None:
        """Let all plugins mutate `request.obj`, twice when a webhook did. Raises ApiError to refuse."""
        await self._run(request, "admit")
        if request.reinvocation is None or request.reinvocation.running:
            return
        request.reinvocation.running = True
        await self.admit(request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Let all plugins look at the final object. Raises ApiError to refuse."""
        await self._run(request, "validate")

    async def _run(self, request: AdmissionRequest, step: str) -> None:
        began_s = clock.monotonic_s()
        rejected = True
        try:
            for plugin in self._plugins:
                if plugin.handles(request):
                    await self._ask(plugin, request, step)
            rejected = False
        finally:
            self._metrics.observe_step(request, step, began_s, rejected=rejected)

    async def _ask(self, plugin: AdmissionPlugin, request: AdmissionRequest, step: str) -> None:
        began_s = clock.monotonic_s()
        rejected = True
        try:
            await (plugin.admit(request) if step == "admit" else plugin.validate(request))
            rejected = False
        finally:
            self._metrics.observe_plugin(request, plugin.name, step, began_s, rejected=rejected)


def build_chain(
    lookup: Lookup,
    authorizer: Authorizer,
    webhooks: Webhooks,
    policies: PolicyIndex,
    settings: AdmissionSettings | None = None,
    metrics: AdmissionMetrics | None = None,
) -> AdmissionChain:
    """Return the chain of the plugins that run, in upstream's order, whatever the order in which they were chosen.

    authorizer: answers plugins that ask for more than the request's own permission. settings: None = the default ones.
    """
    settings = settings or AdmissionSettings()
    metrics = metrics or AdmissionMetrics(Registry())
    plugins: tuple[AdmissionPlugin, ...] = (
        NamespaceLifecycle(lookup),
        LimitRanger(lookup),
        ServiceAccountAdmission(lookup),
        NodeRestriction(lookup, authorizer),
        TaintNodesByCondition(),
        *_choose(settings, "AlwaysPullImages"),
        PodSecurity(lookup, settings.pod_security),
        Priority(lookup),
        DefaultTolerationSeconds(),
        *_choose(settings, "EventRateLimit", "ExtendedResourceToleration"),
        DefaultStorageClass(lookup),
        StorageObjectInUseProtection(),
        PersistentVolumeClaimResize(lookup),
        RuntimeClassAdmission(lookup),
        CertificateApproval(authorizer),
        CertificateSigning(authorizer),
        CertificateSubjectRestriction(),
        DefaultIngressClass(lookup),
        *_choose(settings, "DenyServiceExternalIPs"),
        PodTopologyLabels(lookup),
        MutatingWebhooks(webhooks.mutating, webhooks.dispatch, webhooks.schemas),
        ValidatingPolicies(policies, webhooks.kinds, lookup, authorizer, metrics),
        ValidatingWebhooks(webhooks.validating, webhooks.dispatch),
        ResourceQuota(lookup, settings.limited_resources),
    )
    return AdmissionChain([one for one in plugins if one.name in settings.plugins], metrics)


def _choose(settings: AdmissionSettings, *names: str) -> Iterator[AdmissionPlugin]:
    """Make those of the plugins that are off by default that were asked for; only they are imported."""
    for name in names:
        if name in settings.plugins:
            module, maker = _OPTIONAL[name]
            make = getattr(importlib.import_module(f"k3py.apiserver.admission.plugins.{module}"), maker)
            yield make(settings.event_limits) if name == "EventRateLimit" else make()
