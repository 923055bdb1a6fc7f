"""The table of controllers, and what makes components of them.

Each controller acts as a service account of its own in kube-system, with the rights that the bootstrap policy gives it, as upstream's
`--use-service-account-credentials` does.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from k3py.controllers.base import ControllerLoop
from k3py.controllers.interface import ControllerContext
from k3py.util.metrics import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from k3py.api.registry import KindRegistry
    from k3py.client.interface import Client, InformerFactory
    from k3py.controllers.interface import Controller, Recorder, TokenSigner
    from k3py.pki.authority import KeyPair


@dataclass(frozen=True, slots=True)
class Entry:
    """One controller.

    account: ServiceAccount in kube-system that it acts as, "" = the controller manager's own user; module: where `build(context)` is; source: what its events name, "" = account.
    """

    account: str
    module: str
    source: str = ""


CONTROLLERS: Final[tuple[Entry, ...]] = (
    Entry("service-account-controller", "k3py.controllers.identity.service_account"),
    Entry("root-ca-cert-publisher", "k3py.controllers.identity.root_ca"),
    Entry("certificate-controller", "k3py.controllers.identity.certificates.approving"),
    Entry("certificate-controller", "k3py.controllers.identity.certificates.signing"),
    Entry("certificate-controller", "k3py.controllers.identity.certificates.cleaning"),
    Entry("", "k3py.controllers.identity.account_tokens"),
    Entry("legacy-service-account-token-cleaner", "k3py.controllers.identity.legacy_token_cleaner"),
    Entry("bootstrap-signer", "k3py.controllers.identity.bootstrap_signer"),
    Entry("token-cleaner", "k3py.controllers.identity.bootstrap_token_cleaner"),
    Entry("namespace-controller", "k3py.controllers.lifecycle.namespace"),
    Entry(
        "generic-garbage-collector",
        "k3py.controllers.lifecycle.garbage_collector.controller",
        source="garbage-collector-controller",
    ),
    Entry("pod-garbage-collector", "k3py.controllers.lifecycle.pod_garbage"),
    Entry("node-controller", "k3py.controllers.nodes.ipam"),
    Entry("node-controller", "k3py.controllers.nodes.lifecycle"),
    Entry("replicaset-controller", "k3py.controllers.workloads.replica_set"),
    Entry("deployment-controller", "k3py.controllers.workloads.deployment.controller"),
    Entry(
        "replication-controller",
        "k3py.controllers.workloads.replication_controller",
    ),
    Entry(
        "daemon-set-controller", "k3py.controllers.workloads.daemon_set.controller", "daemonset-controller"
    ),
    Entry("statefulset-controller", "k3py.controllers.workloads.stateful_set.controller"),
    Entry("ttl-after-finished-controller", "k3py.controllers.lifecycle.ttl_after_finished"),
    Entry("cronjob-controller", "k3py.controllers.workloads.cron_job"),
    Entry("node-controller", "k3py.controllers.nodes.taint_eviction", "taint-eviction-controller"),
    Entry("disruption-controller", "k3py.controllers.policy.disruption", "controllermanager"),
    Entry("ttl-controller", "k3py.controllers.nodes.ttl"),
    Entry("clusterrole-aggregation-controller", "k3py.controllers.identity.cluster_role_aggregation"),
    Entry("endpoint-controller", "k3py.controllers.networking.endpoints"),
    Entry(
        "endpointslicemirroring-controller",
        "k3py.controllers.networking.endpoint_slice_mirroring",
        "endpoint-slice-mirroring-controller",
    ),
    Entry("service-cidrs-controller", "k3py.controllers.networking.service_cidr", "service-cidr-controller"),
    Entry("resourcequota-controller", "k3py.controllers.policy.resource_quota"),
    Entry(
        "persistent-volume-binder", "k3py.controllers.storage.volume_binder", "persistentvolume-controller"
    ),
    Entry("attachdetach-controller", "k3py.controllers.storage.attach_detach.controller"),
    Entry("expand-controller", "k3py.controllers.storage.volume_expander", "volume_expand"),
    Entry("pvc-protection-controller", "k3py.controllers.storage.claim_protection"),
    Entry("pv-protection-controller", "k3py.controllers.storage.volume_protection"),
    Entry(
        "volumeattributesclass-protection-controller", "k3py.controllers.storage.attributes_class_protection"
    ),
    Entry("validatingadmissionpolicy-status-controller", "k3py.controllers.policy.admission_policy_status"),
    Entry("ephemeral-volume-controller", "k3py.controllers.storage.ephemeral_volume", "ephemeral_volume"),
    Entry("resource-claim-controller", "k3py.controllers.workloads.resource_claim", "resource_claim"),
    Entry("job-controller", "k3py.controllers.workloads.job.controller"),
    Entry("horizontal-pod-autoscaler", "k3py.controllers.autoscaling.horizontal_pod_autoscaler.controller"),
    Entry("endpointslice-controller", "k3py.controllers.networking.cluster_dns"),
    Entry("endpointslice-controller", "k3py.controllers.networking.endpoint_slice"),
)


class _Module(Protocol):
    def build(self, context: ControllerContext) -> Controller: ...


def build_controllers(
    *,
    client_for: Callable[[str], Client],
    recorder_for: Callable[[str], Recorder],
    informers: InformerFactory,
    kinds: KindRegistry,
    root_ca: str,
    cluster_cidr: str,
    authorities: Mapping[str, KeyPair] | None = None,
    token_signer: TokenSigner | None = None,
    metrics: Registry | None = None,
    disabled: Collection[str] = (),
) -> list[ControllerLoop]:
    """Make every controller of the table as a component.

    client_for(account) and recorder_for(component) give clients and recorders for a service account ("" = none) and an event source.
    authorities, token_signer, metrics: see ControllerContext. disabled: modules' last names that shall not run.
    """
    metrics = metrics or Registry()
    loops = []
    for entry in CONTROLLERS:
        if entry.module.removesuffix(".controller").rpartition(".")[2] in disabled:
            continue
        module = cast("_Module", importlib.import_module(entry.module))
        context = ControllerContext(
            client=client_for(entry.account),
            informers=informers,
            recorder=recorder_for(entry.source or entry.account or "controllermanager"),
            kinds=kinds,
            root_ca=root_ca,
            cluster_cidr=cluster_cidr,
            authorities=authorities or {},
            token_signer=token_signer,
            metrics=metrics,
        )
        loops.append(ControllerLoop(module.build(context)))
    return loops
