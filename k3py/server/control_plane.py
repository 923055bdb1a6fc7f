"""The control plane's part of the composition: API server, its HTTP face, controllers, scheduler."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from k3py.addons.dashboard.site import DashboardSite
from k3py.api.kinds import ALL
from k3py.api.openapi.documents import OpenApiDocuments
from k3py.api.registry import KindRegistry
from k3py.api.resource import PODS
from k3py.api.schema import load_schema
from k3py.api.user import AUTHENTICATED, User
from k3py.apiserver.access_settings import load_access_settings
from k3py.apiserver.admission.settings import load_admission_settings
from k3py.apiserver.app import ApiServer
from k3py.apiserver.assembly import ApiOptions, build_dispatcher
from k3py.apiserver.authn.request_header import describe_authentication
from k3py.apiserver.egress import LateEgress
from k3py.apiserver.health import HealthChecks
from k3py.apiserver.kubelet_dialer import KubeletDialer
from k3py.client.events import EventRecorder
from k3py.client.local import LocalClient
from k3py.client.local_informers import LocalInformerFactory
from k3py.cluster.machine import ensure_password
from k3py.cluster.node_password import NodePasswords
from k3py.controllers.base import ControllerLoop
from k3py.controllers.manager import build_controllers
from k3py.scheduler.configuration import load_scheduler_settings
from k3py.scheduler.resource_metrics import resource_metrics
from k3py.scheduler.scheduler import Scheduler
from k3py.server.cluster_dns import ensure_dns_role, ensure_dns_service
from k3py.server.etcd.endpoint import member_paths
from k3py.server.joining import bootstrap_paths
from k3py.server.leadership import Led, make_election
from k3py.server.listener import Listener, ServingCertificate
from k3py.server.metrics_api import METRICS_ACCOUNT, serve_metrics
from k3py.server.network_policy_role import ensure_network_policy_role
from k3py.server.registration import build_supervisor, share_port
from k3py.server.renewal import CertificateRenewal
from k3py.server.secrets_encryption.endpoint import encryption_paths
from k3py.server.token_rotation import TokenRotation
from k3py.server.tunnels import build_tunnels
from k3py.util.loop_lag import LoopLag
from k3py.util.metrics import Registry, process_metrics
from k3py.util.netaddr import split_pair
from k3py.util.process_stats import ProcessStats
from k3py.util.step import Step
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from k3py.api.schema.schemas import Schemas
    from k3py.apiserver.access_settings import AccessSettings
    from k3py.apiserver.assembly import ApiAssembly
    from k3py.apiserver.audit.start import AuditLog
    from k3py.apiserver.interface import Dispatcher
    from k3py.cluster.supervisor import Supervisor
    from k3py.config.server import ServerConfig
    from k3py.datastore.interface import Backend
    from k3py.scheduler.configuration import SchedulerSettings
    from k3py.server.identity import ServerIdentity
    from k3py.server.secrets_encryption.rotation import SecretsEncryption
    from k3py.server.secrets_encryption.start import StartedEncryption
    from k3py.server.shared_identity import SharedIdentity
    from k3py.storage.factory import CachedStorage
    from k3py.util.supervise import Component

_SYSTEM_GROUP = "system:serviceaccounts"


class ControlPlane:
    """Made once by `build_control_plane`; `components` in starting order.

    `renewal_hooks` are called when certificates were renewed. `informers`: shared ones of the controllers. `dialer`: the way to kubelets.
    `renewal`: of the certificates.
    """

    informers: LocalInformerFactory
    dialer: KubeletDialer
    renewal: CertificateRenewal

    def __init__(
        self,
        *,
        assembly: ApiAssembly,
        kinds: KindRegistry,
        health: HealthChecks,
        metrics: Registry,
        components: list[Component],
        audit: AuditLog | None = None,
    ) -> None:
        self.assembly = assembly
        self.kinds = kinds
        self.health = health
        self.metrics = metrics
        self.components = components
        self.renewal_hooks: list[Callable[[], object]] = []
        self.audit = audit
        self.keys_of_secrets: SecretsEncryption | None = None
        self._dispatcher: Dispatcher = assembly.dispatcher
        if audit is not None:
            from k3py.apiserver.audit.recorder import AuditedDispatcher  # noqa: PLC0415 - loaded when there is a log

            self._dispatcher = AuditedDispatcher(assembly.dispatcher, audit.recorder)

    def follow_health(self, health: Callable[[], Mapping[str, str | None]]) -> None:
        """Show what the supervisor knows (component → fault or None) in ComponentStatuses."""
        parts_of = [
            part for one in self.components for part in (one.components if isinstance(one, Led) else (one,))
        ]
        controllers = tuple(one.name for one in parts_of if isinstance(one, ControllerLoop))
        schedulers = tuple(one.name for one in parts_of if isinstance(one, Scheduler))
        parts = {"controller-manager": controllers, "scheduler": schedulers}
        self.assembly.component_statuses.follow(
            health, {part: names for part, names in parts.items() if names}
        )

    def led_health(self) -> Mapping[str, str | None]:
        """Return what is wrong with the parts that run because this server leads."""
        led = (one for one in self.components if isinstance(one, Led))
        return {name: problem for one in led for name, problem in one.health().items()}

    def client(self, name: str, *groups: str, user_agent: str) -> LocalClient:
        """Return an in-process client with this identity; it passes the same rules as anybody."""
        user = User(name=name, groups=(*groups, AUTHENTICATED))
        return LocalClient(self._dispatcher, user, user_agent)


async def build_control_plane(
    config: ServerConfig,
    identity: ServerIdentity,
    storage: CachedStorage,
    *,
    encryption: StartedEncryption,
    shared: SharedIdentity,
    backend: Backend,
    publish: Callable[[int], Awaitable[None]],
) -> ControlPlane:
    """Make the parts of the control plane; nothing runs yet.

    encryption: keys of Secrets. shared: what all servers have in common. backend: the datastore below storage. publish(port): called once the API listens; writes kubeconfigs.

    Raises:
        ConfigError: a file that --kube-apiserver-arg names cannot be used.
        StorageError: what is stored cannot be read.
    """
    kinds, schemas = KindRegistry(ALL), load_schema()
    arguments = config.kube_apiserver_arg
    access = await asyncio.to_thread(load_access_settings, arguments)
    admission = await asyncio.to_thread(load_admission_settings, arguments)
    keys, tls = identity.service_account_keys, identity.paths.server_tls
    client_ca, request_header_ca = tls / "client-ca.crt", tls / "request-header-ca.crt"
    metrics, egress = Registry(), LateEgress()
    assembly = await build_dispatcher(
        storage=storage,
        kinds=kinds,
        schemas=schemas,
        signer=keys,
        verifier=keys,
        metrics=metrics,
        options=ApiOptions(
            access=access,
            admission=admission,
            advertise_address=config.advertise_address,
            secure_port=config.https_listen_port,
            shared_datastore=backend if config.shares_datastore else None,
            service_cidrs=split_pair(config.service_cidr),
            node_ports=config.service_node_port_range,
            most_reading=config.kube_apiserver_arg.number("max-requests-inflight", 400),
            most_mutating=config.kube_apiserver_arg.number("max-mutating-requests-inflight", 200),
            audiences=arguments.texts("api-audiences") or (*keys.issuers, "k3py"),
            extends_tokens=arguments.flag("service-account-extend-token-expiration", default=True),
            longest_token_s=int(arguments.seconds("service-account-max-token-expiration", 0)),
            extension_authentication=describe_authentication(client_ca, request_header_ca),
            front_proxy=(tls / "client-auth-proxy.crt", tls / "client-auth-proxy.key"),
            client_ca=client_ca,
            request_header_ca=request_header_ca,
            egress=egress,
        ),
    )
    health = HealthChecks()
    audit = await asyncio.to_thread(_load_audit_log, config)
    plane = ControlPlane(
        assembly=assembly, kinds=kinds, health=health, metrics=metrics, components=[], audit=audit
    )
    masters = plane.client("system:k3py-supervisor", "system:masters", user_agent="k3py-supervisor")
    passwords = NodePasswords(masters)
    keys_of_secrets = plane.keys_of_secrets = encryption.build(storage, kinds, shared.change)
    rotation = TokenRotation(config.data_dir / "server", identity, shared)
    server_paths = {
        **encryption_paths(keys_of_secrets),
        **bootstrap_paths(config, shared),
        **member_paths(config),
        **rotation.paths(),
    }
    manager = plane.client("system:kube-controller-manager", user_agent="kube-controller-manager")
    informers = plane.informers = LocalInformerFactory(manager)
    tunnels, egress.inner = build_tunnels(config, informers, metrics)
    supervisor = build_supervisor(
        config, identity, assembly.authenticator, passwords, masters, tunnels, server_paths
    )
    rotation.supervisor = supervisor
    dialer = KubeletDialer(
        certificate=tls / "client-kube-apiserver.crt",
        key=tls / "client-kube-apiserver.key",
        authority=tls / "server-ca.crt",
        egress=egress,
    )
    plane.dialer = dialer
    plane.renewal_hooks.append(dialer.reload)
    listener = _build_listener(config, identity, plane, schemas, supervisor, dialer, access)

    async def publish_address() -> None:
        await publish(listener.port)

    async def open_registration() -> None:
        if not config.disable_agent:  # our own name is taken, like any node's
            await passwords.check(config.node_name, await asyncio.to_thread(ensure_password))
        supervisor.ready = True

    plane.components += [
        *(audit.components if audit is not None else ()),
        assembly,
        listener,
        Step("publish-kubeconfig", publish_address),
        Step("bootstrap-objects", assembly.bootstrap),
        Step("registration", open_registration),
    ]
    if not config.disable_network_policy:
        plane.components.append(Step("network-policy-role", partial(ensure_network_policy_role, masters)))
    if config.served_dns:
        plane.components.append(Step("dns-role", partial(ensure_dns_role, masters)))
        plane.components.append(Step("dns-service", partial(ensure_dns_service, masters, config.served_dns)))
    if "metrics-server" not in config.disable:
        collector = plane.client(
            f"system:serviceaccount:kube-system:{METRICS_ACCOUNT}",
            _SYSTEM_GROUP,
            f"{_SYSTEM_GROUP}:kube-system",
            user_agent="metrics-server",
        )
        plane.components.append(serve_metrics(assembly.dispatcher, dialer, collector, masters))
    scheduling = await asyncio.to_thread(load_scheduler_settings, config.kube_scheduler_arg.config)
    plane.components += _build_loops(config, identity, plane, scheduling, manager, informers)

    async def renewed() -> None:
        for hook in plane.renewal_hooks:
            hook()
        await publish(listener.port)

    plane.renewal = CertificateRenewal(identity, renewed)
    plane.components.append(plane.renewal)
    if keys_of_secrets is not None:
        plane.components.append(keys_of_secrets)
    return plane


def _load_audit_log(config: ServerConfig) -> AuditLog | None:
    """Raises ConfigError, KubeconfigError."""
    policy = config.kube_apiserver_arg.path("audit-policy-file")
    if policy is None:
        return None
    from k3py.apiserver.audit.start import build_audit_log  # noqa: PLC0415 - loaded when there is a log

    return build_audit_log(config.kube_apiserver_arg, policy)


def _build_listener(
    config: ServerConfig,
    identity: ServerIdentity,
    plane: ControlPlane,
    schemas: Schemas,
    supervisor: Supervisor,
    dialer: KubeletDialer,
    access: AccessSettings,
) -> Listener:
    tls, keys = identity.paths.server_tls, identity.service_account_keys
    metrics = plane.metrics
    metrics.add(*process_metrics(ProcessStats().read), LoopLag().metric())
    serving = ServingCertificate(
        certificate=tls / "serving-kube-apiserver.crt",
        key=tls / "serving-kube-apiserver.key",
        client_ca=tls / "client-ca.crt",
        request_header_ca=tls / "request-header-ca.crt",
    )
    plane.renewal_hooks += [serving.reload, plane.assembly.extensions.dialer.reload]
    api = ApiServer(
        dispatcher=plane.assembly.dispatcher,
        kinds=plane.kinds,
        authenticator=plane.assembly.authenticator,
        authorizer=plane.assembly.authorizer,
        flow_control=plane.assembly.flow_control,
        anonymous_auth=access.anonymous,
        audit=plane.audit.recorder if plane.audit is not None else None,
        anonymous_paths=access.anonymous_paths,
        health=plane.health,
        metrics=metrics,
        server_address=f"{config.advertise_address}:{config.https_listen_port}",
        kubelet_connector=dialer,
        extensions=plane.assembly.extensions,
        openapi_builder=OpenApiDocuments(schemas),
        load_protobuf=lambda: KubernetesProtobuf(schemas.table),
        openid_configuration={
            "issuer": keys.issuer,
            "jwks_uri": config.kube_apiserver_arg.text("service-account-jwks-uri")
            or f"https://{config.advertise_address}:{config.https_listen_port}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        },
        jwks=keys.jwks(),
    )
    return Listener(
        share_port(supervisor, api.handle, None if "dashboard" in config.disable else DashboardSite()),
        drain=api.drain,
        host=config.bind_address,
        port=config.https_listen_port,
        tls=serving,
    )


def _build_loops(
    config: ServerConfig,
    identity: ServerIdentity,
    plane: ControlPlane,
    scheduling: SchedulerSettings,
    manager: LocalClient,
    informers: LocalInformerFactory,
) -> list[Component]:
    recorder = EventRecorder(manager, component="kube-controller-manager")

    def client_for(account: str) -> LocalClient:
        if not account:
            return manager
        name = f"system:serviceaccount:kube-system:{account}"
        return plane.client(name, _SYSTEM_GROUP, f"{_SYSTEM_GROUP}:kube-system", user_agent=account)

    loops: list[Component] = [recorder, informers]
    scheduling_loops: list[Component] = []
    controllers = build_controllers(
        client_for=client_for,
        recorder_for=recorder.named,
        informers=informers,
        kinds=plane.kinds,
        root_ca=identity.root_ca,
        cluster_cidr=config.cluster_cidr,
        authorities=identity.authorities,
        token_signer=identity.service_account_keys,
        metrics=plane.metrics,
    )
    if not config.disable_scheduler:
        client = plane.client("system:kube-scheduler", user_agent="kube-scheduler")
        scheduler_recorder = EventRecorder(client, component="default-scheduler")
        scheduler = Scheduler(
            client, informers, scheduler_recorder, settings=scheduling, metrics=plane.metrics
        )
        plane.metrics.parts["/metrics/resources"] = resource_metrics(informers.informer(PODS).lister)
        loops.append(scheduler_recorder)
        if config.shares_datastore:
            scheduling_loops.append(
                Led(client, make_election("kube-scheduler", config.node_name), (scheduler,))
            )
        else:
            scheduling_loops.append(scheduler)
    if config.shares_datastore:
        election = make_election("kube-controller-manager", config.node_name)
        return [*loops, *scheduling_loops, Led(manager, election, controllers)]
    return [*loops, *scheduling_loops, *controllers]
