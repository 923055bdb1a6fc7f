"""Puts the API server together, without its HTTP face: one call for the server and for tests.

assembly = await build_dispatcher(storage=…, kinds=…, schemas=…, signer=keys, verifier=keys, options=ApiOptions(advertise_address="192.0.2.1"))
run `assembly.run(started)` as a component (it keeps the indexes of policy and of nodes' pods), then `await assembly.bootstrap()`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES
from k3py.apiserver.access_reload import AccessReload
from k3py.apiserver.access_settings import AccessSettings
from k3py.apiserver.admission.chain import build_chain
from k3py.apiserver.admission.lookup import StorageLookup
from k3py.apiserver.admission.metrics import AdmissionMetrics
from k3py.apiserver.admission.policies.index import POLICY_GROUP, PolicyIndex
from k3py.apiserver.admission.policies.param_guard import BindingParamGuard, PolicyParamGuard
from k3py.apiserver.admission.settings import AdmissionSettings
from k3py.apiserver.admission.webhooks.webhooks import Webhooks
from k3py.apiserver.aggregation.extensions import Extensions
from k3py.apiserver.aggregation.priorities import AGGREGATOR_GROUP
from k3py.apiserver.authn.bootstrap_token import BootstrapTokenAuthenticator
from k3py.apiserver.authn.request_header import FRONT_PROXIES, FrontProxies, RequestHeaderAuthenticator
from k3py.apiserver.authn.service_account import ServiceAccountAuthenticator
from k3py.apiserver.authn.static_token import StaticTokenAuthenticator
from k3py.apiserver.authn.union import UnionAuthenticator
from k3py.apiserver.authn.x509 import X509Authenticator
from k3py.apiserver.authz.device_admin import DeviceAdminGuard
from k3py.apiserver.authz.escalation import EscalationGuard
from k3py.apiserver.authz.masters import MastersAuthorizer
from k3py.apiserver.authz.node import NodeAuthorizer
from k3py.apiserver.authz.node_graph import NodeGraph
from k3py.apiserver.authz.policy import RBAC_GROUP, Policy
from k3py.apiserver.authz.rbac import RbacAuthorizer
from k3py.apiserver.authz.union import UnionAuthorizer
from k3py.apiserver.bootstrap import Bootstrap, ServiceAddress
from k3py.apiserver.crd.definitions import CustomResources
from k3py.apiserver.dispatcher import ApiDispatcher
from k3py.apiserver.flow_control.dangling import DanglingSchemas
from k3py.apiserver.flow_control.flow_control import FlowControl
from k3py.apiserver.follower import Follower
from k3py.apiserver.registry.builtin_patches import BuiltinPatches
from k3py.apiserver.registry.builtin_schemas import BuiltinSchemas
from k3py.apiserver.registry.component_statuses import ComponentStatuses
from k3py.apiserver.registry.reviews.access import AccessReviews, RulesReviews
from k3py.apiserver.registry.reviews.identity import TokenReviews, create_self_subject_review
from k3py.apiserver.registry.subresources import pod_stream, proxy
from k3py.apiserver.registry.subresources.approval import handle_approval
from k3py.apiserver.registry.subresources.binding import create_binding, handle_binding
from k3py.apiserver.registry.subresources.ephemeral_containers import handle_ephemeral_containers
from k3py.apiserver.registry.subresources.eviction import handle_eviction
from k3py.apiserver.registry.subresources.namespace_finalize import handle_finalize
from k3py.apiserver.registry.subresources.resize import handle_resize
from k3py.apiserver.registry.subresources.token import TokenHandler
from k3py.storage.allocators.address_keeper import AddressKeeper
from k3py.storage.allocators.address_objects import AddressObjects
from k3py.storage.allocators.port_claims import PortClaims
from k3py.storage.allocators.service import ServiceAllocator
from k3py.util import clock
from k3py.util.metrics import Registry
from k3py.util.supervise import Policy as FailurePolicy
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    import aiohttp

    from k3py.api.registry import KindRegistry
    from k3py.api.schema.schemas import Schemas
    from k3py.apiserver.aggregation.api_services import ApiServices
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.apiserver.follower import Key
    from k3py.apiserver.interface import Authenticator, Authorizer, Egress
    from k3py.apiserver.registry.seams import (
        Admission,
        Patches,
        TokenSigner,
        TokenVerifier,
        WriteGuard,
        WriteHook,
    )
    from k3py.apiserver.registry.table import Handler
    from k3py.datastore.interface import Backend
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Storage
    from k3py.util.supervise import Component

_RBAC_PLURALS: Final = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """What the composition chooses.

    advertise_address: IP address of the endpoint of the Service `kubernetes`; secure_port: its TCP port.
    shared_datastore: the datastore, when other servers can have it, too: then they agree through it on node ports, and somebody else
        keeps the endpoints of that Service.
    service_cidrs: one range an IP family, primary first. node_ports: first and last.
    audiences: what service-account tokens are for when nobody says otherwise, and what the API accepts.
    admission: which plugins run, and how.
    extends_tokens: tokens that kubelets ask for on behalf of pods live a year. longest_token_s: no token lives longer, 0 = no limit.
    access: who else is known and may do what: static tokens, issuers of JWTs, webhooks.
    front_proxy: files of the certificate and key with which extension API servers are asked.
    client_ca, request_header_ca: files of the authorities of clients and of front proxies; None = no front proxy is believed.
    egress: the way out to nodes and pods, for webhooks and extension API servers; None = straight.
    front_proxy_names: common names of front proxies that are believed.
    most_reading, most_mutating: requests that run at a time; their sum is shared out among the priority levels.
    extension_authentication: data of the ConfigMap kube-system/extension-apiserver-authentication (client-ca-file, requestheader-…).
    """

    advertise_address: str = "127.0.0.1"
    secure_port: int = 6443
    shared_datastore: Backend | None = None
    service_cidrs: tuple[str, ...] = ("10.43.0.0/16",)
    node_ports: tuple[int, int] = (30000, 32767)
    most_reading: int = 400
    most_mutating: int = 200
    audiences: tuple[str, ...] = ("https://kubernetes.default.svc.cluster.local", "k3s")
    extends_tokens: bool = True
    longest_token_s: int = 0
    access: AccessSettings = field(default_factory=AccessSettings)
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    extension_authentication: Mapping[str, str] = field(default_factory=dict)
    front_proxy: tuple[Path, Path] | None = None
    client_ca: Path | None = None
    request_header_ca: Path | None = None
    front_proxy_names: tuple[str, ...] = FRONT_PROXIES
    egress: Egress | None = None


class ApiAssembly:
    """The parts that others use, the component that keeps the indexes, and what is made at the start.

    Attributes:
        dispatcher: the one way in.
        authorizer: all authorizers, for non-resource paths too.
        authenticator: all authenticators; None from it means anonymous.
        rbac: the index of roles and bindings.
        extensions: groups and versions that other servers serve.
        flow_control: which requests run and which wait.
        component_statuses: answers how the parts of the control plane are; its `follow` tells it of them.
    """

    name = "apiserver-indexes"
    policy = FailurePolicy.ESSENTIAL

    def __init__(
        self,
        *,
        dispatcher: ApiDispatcher,
        authorizer: Authorizer,
        authenticator: Authenticator,
        rbac: Policy,
        followers: list[Follower],
        custom: CustomResources | None = None,
        bootstrap: Bootstrap,
        extensions: Extensions,
        webhooks: Webhooks,
        flow_control: FlowControl,
        dangling: DanglingSchemas,
        access_reload: AccessReload,
        component_statuses: ComponentStatuses,
    ) -> None:
        self.dispatcher = dispatcher
        self.authorizer = authorizer
        self.authenticator = authenticator
        self.rbac = rbac
        self.component_statuses = component_statuses
        self._followers = followers
        self._custom = custom
        self._bootstrap = bootstrap
        self.extensions = extensions
        self._webhooks = webhooks
        self.flow_control = flow_control
        self._dangling = dangling
        self._access_reload = access_reload

    async def run(self, started: Callable[[], None]) -> None:
        """Keep the indexes; `started` is called when they are complete. Raises StorageError."""
        try:
            await self._run(started)
        finally:
            await self._webhooks.client.close()

    async def _run(self, started: Callable[[], None]) -> None:
        async with TaskScope() as scope:
            ready = []
            for index, follower in enumerate(self._followers):
                event = asyncio.Event()
                ready.append(event)
                _ = scope.spawn(follower.run(event.set), name=f"follow-{index}")
            for event in ready:
                await event.wait()
            if self._custom is not None:
                served = asyncio.Event()
                _ = scope.spawn(self._custom.run(served.set), name="custom-resources")
                await served.wait()
            _ = scope.spawn(self.extensions.run(), name="extensions")
            _ = scope.spawn(self._dangling.run(), name="dangling-flow-schemas")
            _ = scope.spawn(self._access_reload.run(), name="access-reload")
            started()

    async def advertise(self, address: str) -> None:
        """Tell the cluster another address of this server. Raises ApiError."""
        await self._bootstrap.advertise(address)

    async def bootstrap(self) -> None:
        """Make what every cluster has; the component must run. Raises ApiError."""
        await self._bootstrap.run()
        await self._dangling.begin()


async def build_dispatcher(
    *,
    storage: Storage,
    kinds: KindRegistry,
    schemas: Schemas,
    signer: TokenSigner | None = None,
    verifier: TokenVerifier | None = None,
    options: ApiOptions | None = None,
    admission: Admission | None = None,
    patches: Patches | None = None,
    metrics: Registry | None = None,
    now: Callable[[], datetime] = clock.now,
) -> ApiAssembly:
    """Put the API server together over an open storage.

    Args:
        storage: where objects lie; open.
        kinds: what is served.
        schemas: the built-in types.
        signer: of service-account tokens, None = none are made.
        verifier: of service-account tokens, None = none are accepted.
        options: see ApiOptions.
        admission: None = the default chain.
        patches: None = those of built-in types.
        metrics: where admission tells how long it takes.
        now: the wall clock.

    Raises:
        StorageError: the Services, whose addresses must be known, cannot be read.
    """
    options = options or ApiOptions()
    rbac, graph = Policy(), NodeGraph()
    built_in: dict[str, Authorizer] = {"Node": NodeAuthorizer(graph, rbac), "RBAC": RbacAuthorizer(rbac)}
    configured = UnionAuthorizer(options.access.make_authorizers(built_in))
    authorizer = UnionAuthorizer((MastersAuthorizer(), configured))
    issuers = UnionAuthenticator(options.access.make_issuers())
    registry = metrics or Registry()
    accounts = None
    if verifier is not None:
        accounts = ServiceAccountAuthenticator(
            verifier=verifier, storage=storage, kinds=kinds, audiences=options.audiences
        )
    tokens = UnionAuthenticator(
        (
            StaticTokenAuthenticator(options.access.static_tokens),
            BootstrapTokenAuthenticator(storage=storage, kinds=kinds, now=now),
            issuers,
            *options.access.make_token_webhook(options.audiences),
        )
    )
    authenticator = UnionAuthenticator(
        (
            *((accounts,) if accounts is not None else ()),
            tokens,
            *_certificate_authenticators(options, _node_finder(kinds, storage)),
        )
    )
    lookup, objects = StorageLookup(kinds, storage), BuiltinSchemas(schemas)
    durations = AdmissionMetrics(registry)
    webhooks = Webhooks(
        kinds=kinds,
        lookup=lookup,
        authorizer=authorizer,
        schemas=objects,
        open_session=lambda: _open_session(storage, kinds, options.egress),
        metrics=durations,
        mutating=options.admission.mutating_credentials,
        validating=options.admission.validating_credentials,
    )
    policies = PolicyIndex()
    component_statuses = ComponentStatuses()
    dispatcher = ApiDispatcher(
        kinds=kinds,
        storage=storage,
        authorizer=authorizer,
        admission=admission
        or build_chain(lookup, authorizer, webhooks, policies, options.admission, durations),
        schemas=objects,
        patches=patches or BuiltinPatches(schemas),
        subresources=_subresources(signer, options),
        virtual=_virtual(authorizer, rbac, tokens, accounts, options)
        | {("", "componentstatuses"): component_statuses.handle},
        hooks=await _open_hooks(kinds, storage, options),
        guards=_guards(kinds, rbac, authorizer, lookup),
        now=now,
    )
    dangling = DanglingSchemas(dispatcher)
    flows = FlowControl(
        most_reading=options.most_reading,
        most_mutating=options.most_mutating,
        count_stored=partial(_count_stored, kinds, storage),
    )
    address = ServiceAddress(
        cidrs=options.service_cidrs,
        advertise=options.advertise_address,
        port=options.secure_port,
        alone=options.shared_datastore is None,
    )
    extensions = Extensions(
        dispatcher=dispatcher,
        storage=storage,
        kinds=kinds,
        authorizer=authorizer,
        egress=options.egress,
        front_proxy=options.front_proxy,
        now=now,
    )
    dispatcher.pass_on(extensions.requests)
    return ApiAssembly(
        dispatcher=dispatcher,
        authorizer=authorizer,
        authenticator=authenticator,
        rbac=rbac,
        followers=_followers(
            kinds,
            storage,
            rbac,
            graph,
            extensions.services,
            webhooks.handlers() | policies.handlers() | dangling.follow(flows.handlers()),
        ),
        flow_control=flows,
        dangling=dangling,
        access_reload=AccessReload(
            access=options.access,
            authenticators=issuers,
            authorizers=configured,
            built_in=built_in,
            metrics=registry,
        ),
        webhooks=webhooks,
        component_statuses=component_statuses,
        extensions=extensions,
        custom=_custom(dispatcher, storage, kinds, now, options.egress),
        bootstrap=Bootstrap(
            dispatcher, kinds, address, extension_authentication=options.extension_authentication
        ),
    )


def _count_stored(kinds: KindRegistry, storage: Storage, info: RequestInfo) -> int | None:
    kind = kinds.find(info.group, info.version, info.resource)
    return None if kind is None else storage.count_open(kind)


def _guards(
    kinds: KindRegistry, rbac: Policy, authorizer: Authorizer, lookup: StorageLookup
) -> dict[tuple[str, str], WriteGuard]:
    escalation = EscalationGuard(rbac, authorizer)
    guards: dict[tuple[str, str], WriteGuard] = {(RBAC_GROUP, plural): escalation for plural in _RBAC_PLURALS}
    guards[POLICY_GROUP, "validatingadmissionpolicies"] = PolicyParamGuard(kinds, authorizer)
    guards[POLICY_GROUP, "validatingadmissionpolicybindings"] = BindingParamGuard(kinds, authorizer, lookup)
    devices = DeviceAdminGuard(lookup)
    return guards | {("resource.k8s.io", f"resourceclaim{suffix}"): devices for suffix in ("s", "templates")}


def _open_session(storage: Storage, kinds: KindRegistry, egress: Egress | None) -> aiohttp.ClientSession:
    from k3py.apiserver.service_session import open_service_session  # noqa: PLC0415 - many servers have no webhooks

    return open_service_session(storage, kinds, egress)


def _node_finder(kinds: KindRegistry, storage: Storage) -> Callable[[str], Awaitable[bool]]:
    lookup = StorageLookup(kinds, storage)

    async def has_node(name: str) -> bool:
        return await lookup.find(NODES, "", name) is not None

    return has_node


def _certificate_authenticators(
    options: ApiOptions, has_node: Callable[[str], Awaitable[bool]]
) -> tuple[Authenticator, ...]:
    if options.request_header_ca is None:
        return (X509Authenticator(has_node=has_node),)
    proxies = FrontProxies(options.request_header_ca, options.client_ca)
    return RequestHeaderAuthenticator(proxies, options.front_proxy_names), X509Authenticator(
        proxies.issued, has_node
    )


def _subresources(signer: TokenSigner | None, options: ApiOptions) -> dict[tuple[str, str, str], Handler]:
    handlers: dict[tuple[str, str, str], Handler] = {
        ("", "pods", "attach"): pod_stream.handle_attach,
        ("", "pods", "binding"): handle_binding,
        ("", "pods", "ephemeralcontainers"): handle_ephemeral_containers,
        ("", "pods", "eviction"): handle_eviction,
        ("", "pods", "exec"): pod_stream.handle_exec,
        ("", "pods", "log"): pod_stream.handle_log,
        ("", "pods", "portforward"): pod_stream.handle_portforward,
        ("", "pods", "proxy"): proxy.handle_pod_proxy,
        ("", "pods", "resize"): handle_resize,
        ("", "services", "proxy"): proxy.handle_service_proxy,
        ("", "nodes", "proxy"): proxy.handle_node_proxy,
        ("", "namespaces", "finalize"): handle_finalize,
        ("certificates.k8s.io", "certificatesigningrequests", "approval"): handle_approval,
    }
    if signer is not None:
        handlers["", "serviceaccounts", "token"] = TokenHandler(
            signer,
            audiences=options.audiences,
            extends=options.extends_tokens,
            longest_s=options.longest_token_s,
        )
    return handlers


def _virtual(
    authorizer: Authorizer,
    rbac: Policy,
    tokens: Authenticator,
    accounts: ServiceAccountAuthenticator | None,
    options: ApiOptions,
) -> dict[tuple[str, str], Handler]:
    access, rules = AccessReviews(authorizer), RulesReviews(rbac, asks_others=bool(options.access.webhooks))
    token_reviews = TokenReviews(tokens=tokens, service_accounts=accounts, audiences=options.audiences)
    return {
        ("", "bindings"): create_binding,
        ("authorization.k8s.io", "subjectaccessreviews"): access.create,
        ("authorization.k8s.io", "selfsubjectaccessreviews"): access.create_self,
        ("authorization.k8s.io", "localsubjectaccessreviews"): access.create_local,
        ("authorization.k8s.io", "selfsubjectrulesreviews"): rules.create,
        ("authentication.k8s.io", "tokenreviews"): token_reviews.create,
        ("authentication.k8s.io", "selfsubjectreviews"): create_self_subject_review,
    }


async def _open_hooks(
    kinds: KindRegistry, storage: Storage, options: ApiOptions
) -> dict[tuple[str, str], WriteHook]:
    services = kinds.find("", "v1", "services")
    if services is None:
        return {}
    addresses, ranges = (
        kinds.find("networking.k8s.io", "v1", one) for one in ("ipaddresses", "servicecidrs")
    )
    store, objects = await storage.store_for(services), None
    hooks: dict[tuple[str, str], WriteHook] = {}
    if addresses is not None and ranges is not None:
        objects = AddressObjects(await storage.store_for(addresses), await storage.store_for(ranges))
        hooks["networking.k8s.io", "ipaddresses"] = AddressKeeper(store, objects)
    claims = PortClaims(options.shared_datastore, store) if options.shared_datastore is not None else None
    hooks["", "services"] = await ServiceAllocator.open(
        store, cidrs=options.service_cidrs, node_ports=options.node_ports, objects=objects, claims=claims
    )
    return hooks


def _custom(
    dispatcher: ApiDispatcher,
    storage: Storage,
    kinds: KindRegistry,
    now: Callable[[], datetime],
    egress: Egress | None,
) -> CustomResources | None:
    kind = kinds.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    if kind is None:
        return None
    return CustomResources(
        dispatcher=dispatcher, storage=storage, kinds=kinds, kind=kind, now=now, egress=egress
    )


def _followers(
    kinds: KindRegistry,
    storage: Storage,
    rbac: Policy,
    graph: NodeGraph,
    api_services: ApiServices,
    more: dict[tuple[str, str], Callable[[Key, JsonObject | None], None]],
) -> list[Follower]:
    handlers = {(RBAC_GROUP, plural): handle for plural, handle in rbac.handlers().items()}
    handlers |= graph.handlers() | more
    handlers[AGGREGATOR_GROUP, "apiservices"] = api_services.handle
    found = ((kinds.find(group, "v1", plural), handle) for (group, plural), handle in handlers.items())
    return [Follower(storage, kind, handle) for kind, handle in found if kind is not None]


if TYPE_CHECKING:

    def _check(one: ApiAssembly) -> Component:
        return one
