"""What every cluster has from its first moment: namespaces, RBAC policy, priority classes, the Service `kubernetes`.

Run once at each start, after the stores are open. What is there already is only completed (a user may take rules away from no default
role, but add some), and nothing is written when nothing is missing.
Source: k8s.io/kubernetes/pkg/{registry/rbac/rest,controlplane/controller/{systemnamespaces,kubernetesservice}} v1.35.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.object import deep_copy
from k3py.api.selectors import selector_from_object
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.apiserver.authz.rule import find_uncovered, read_rules
from k3py.apiserver.interface import ApiRequest, ListResult
from k3py.apiserver.kubernetes_service import make_endpoint_slice, make_endpoints
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import Dispatcher
    from k3py.jsontypes import JsonObject

_USER: Final = User(name="system:apiserver", groups=(MASTERS, AUTHENTICATED))
_MOST_ATTEMPTS: Final = 8
_AUTOUPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
_AUTOUPDATE_SPEC: Final = "apf.kubernetes.io/autoupdate-spec"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddress:
    """The Service `kubernetes`.

    cidrs: service ranges, primary first; the first address of the primary is the Service's.
    advertise: IP address under which nodes and pods reach this server, port: its TCP port there.
    alone: this server is the only one, so that its address is all that stands behind the Service.
    """

    cidrs: tuple[str, ...]
    advertise: str
    port: int
    alone: bool = True


class Bootstrap:
    """Makes what is missing, through the front door."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        kinds: KindRegistry,
        address: ServiceAddress,
        *,
        extension_authentication: Mapping[str, str],
    ) -> None:
        """Take what to make; `extension_authentication` is the data of the ConfigMap of that name, {} = none."""
        self._dispatcher = dispatcher
        self._kinds = kinds
        self._address = address
        self._extension_authentication = extension_authentication

    async def run(self) -> None:
        """Make or complete everything. Raises ApiError."""
        objects = read_objects()
        by_kind: dict[tuple[str, str], list[JsonObject]] = {}
        for obj in objects:
            by_kind.setdefault((obj["apiVersion"], obj["kind"]), []).append(obj)
        # Namespaces first: the others may lie in them. The rest at once, so that their writes share commits.
        namespaces = by_kind.pop(("v1", "Namespace"), [])
        await self._ensure_all("v1", "Namespace", namespaces)
        async with TaskScope() as scope:
            for (api_version, kind), ones in by_kind.items():
                _ = scope.spawn(self._ensure_all(api_version, kind, ones), name=f"bootstrap-{kind}")
            _ = scope.spawn(self._ensure_tracking(), name="bootstrap-tracking")
            made = (*self._service_objects(), *self._authentication_objects(), self._range_object())
            for one in made:
                _ = scope.spawn(
                    self._ensure_all(one["apiVersion"], one["kind"], [one]), name=f"bootstrap-{one['kind']}"
                )

    async def advertise(self, address: str) -> None:
        """Have the Service `kubernetes` lead to another address of this server. Raises ApiError."""
        self._address = replace(self._address, advertise=address)
        for one in self._service_objects():
            await self._ensure_all(one["apiVersion"], one["kind"], [one])

    async def _ensure_tracking(self) -> None:
        """Write down since when the use of legacy tokens is noted; the first day counts."""
        kind = self._kinds.find("", "v1", "configmaps")
        if kind is None:
            return
        name = "kube-apiserver-legacy-service-account-token-tracking"
        found = ApiRequest(
            verb="get",
            resource=kind.resource,
            user=_USER,
            namespace="kube-system",
            name=name,
            user_agent="kube-apiserver",
        )
        try:
            await self._dispatcher.dispatch(found)
        except ApiError as error:
            if error.code != 404:
                raise
            metadata = {"name": name, "namespace": "kube-system"}
            data = {"since": clock.now().strftime("%Y-%m-%d")}
            document = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}
            _ = await self._ensure(kind, document, None)

    async def _ensure_all(self, api_version: str, kind_name: str, wanted: list[JsonObject]) -> None:
        """Make or complete objects of one kind; again where another server changed them meanwhile."""
        kind = self._kinds.find_by_kind(api_version, kind_name)
        if kind is None:
            return  # a server with fewer kinds has less to make
        left = wanted
        for _ in range(_MOST_ATTEMPTS):
            present = await self._list(kind)
            async with TaskScope() as scope:
                tries = [
                    (
                        obj,
                        scope.spawn(
                            self._ensure(kind, obj, present.get(key)), name=f"bootstrap-{kind_name}-{key[1]}"
                        ),
                    )
                    for obj in left
                    for key in ((obj["metadata"].get("namespace", ""), obj["metadata"]["name"]),)
                ]
            left = [obj for obj, one in tries if not one.result()]
            if not left:
                return

    async def _ensure(self, kind: Kind, wanted: JsonObject, present: JsonObject | None) -> bool:
        """Make or complete an object; False: another server was faster, look again. Raises ApiError."""
        try:
            if present is None:
                await self._send("create", kind, wanted)
            elif (completed := complete(kind, present, wanted)) is not None:
                await self._send("update", kind, completed)
            if kind.kind == "ServiceCIDR" and not (present or {}).get("status"):
                await self._send("update", kind, wanted, subresource="status")
        except ApiError as error:
            if error.code != 409:
                raise
            return False
        return True

    async def _list(self, kind: Kind) -> dict[tuple[str, str], JsonObject]:
        selected = _SELECTED.get(kind.plural)
        options = {"fieldSelector": f"metadata.name={selected}"} if selected else {}
        result = await self._dispatcher.dispatch(
            ApiRequest(
                verb="list", resource=kind.resource, user=_USER, options=options, user_agent="kube-apiserver"
            )
        )
        if not isinstance(result, ListResult):
            raise TypeError("a list is answered with a list")
        return {(view.namespace, view.name): view.parsed for view in result.page.items}

    async def _send(self, verb: str, kind: Kind, obj: JsonObject, *, subresource: str = "") -> None:
        metadata = obj["metadata"]
        await self._dispatcher.dispatch(
            ApiRequest(
                verb=verb,
                resource=kind.resource,
                user=_USER,
                namespace=metadata.get("namespace", ""),
                name=metadata["name"] if verb == "update" else "",
                subresource=subresource,
                body=deep_copy(obj),
                user_agent="kube-apiserver",
            )
        )

    def _authentication_objects(self) -> list[JsonObject]:
        """Return how extension API servers know whom to trust: what aggregated servers and webhooks read at their start."""
        data = self._extension_authentication
        metadata = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
        document = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": dict(data)}
        return [document] if data else []

    def _range_object(self) -> JsonObject:
        """Return the ranges of Services as an object, ready from the start: addresses are given out of them at once."""
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "",
            "message": "Kubernetes default Service CIDR is ready",
            "lastTransitionTime": format_time(clock.now()),
        }
        return {
            "kind": "ServiceCIDR",
            "apiVersion": "networking.k8s.io/v1",
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": list(self._address.cidrs)},
            "status": {"conditions": [ready]},
        }

    def _service_objects(self) -> list[JsonObject]:
        address = self._address
        network = ipaddress.ip_network(address.cidrs[0])
        cluster_ip = str(network.network_address + 1)
        service: JsonObject = {
            "kind": "Service",
            "apiVersion": "v1",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "clusterIP": cluster_ip,
                "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": address.port}],
                "sessionAffinity": "None",
                "type": "ClusterIP",
                "ipFamilyPolicy": "SingleStack",
                "ipFamilies": [f"IPv{network.version}"],
            },
        }
        if not address.alone or ipaddress.ip_address(address.advertise).is_loopback:
            return [service]  # A machine without a network: nobody could reach that, and the API refuses it.
        advertised = (address.advertise,)
        return [
            service,
            make_endpoints({address.port: advertised}),
            make_endpoint_slice(advertised, address.port),
        ]


# Of these kinds there may be many, and one is ours.
_SELECTED: Final = {
    "services": "kubernetes",
    "endpoints": "kubernetes",
    "endpointslices": "kubernetes",
    "servicecidrs": "kubernetes",
    "configmaps": "extension-apiserver-authentication",
}


def read_objects() -> list[JsonObject]:
    """Return the default objects; ClusterRoles that aggregate others have their rules filled in."""
    data = resources.files("k3py.apiserver").joinpath("bootstrap_objects.json").read_bytes()
    objects: list[JsonObject] = orjson.loads(data)
    roles = [one for one in objects if one["kind"] == "ClusterRole"]
    # admin aggregates edit, edit aggregates view: three rounds settle it.
    for _ in range(3):
        for role in roles:
            if role.get("aggregationRule"):
                role["rules"] = _aggregate(role, roles)
    return objects


def _aggregate(role: JsonObject, roles: list[JsonObject]) -> list[JsonObject]:
    selectors = [selector_from_object(one) for one in role["aggregationRule"]["clusterRoleSelectors"]]
    rules: list[JsonObject] = []
    for other in sorted(roles, key=lambda one: str(one["metadata"]["name"])):
        labels = other["metadata"].get("labels") or {}
        if other is not role and any(one.matches(labels) for one in selectors):
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


def complete(kind: Kind, present: JsonObject, wanted: JsonObject) -> JsonObject | None:
    """Return `present` with what it lacks of `wanted`, None when it lacks nothing."""
    match kind.kind:
        case "ClusterRole" | "Role":
            return _complete_role(present, wanted)
        case "ClusterRoleBinding" | "RoleBinding":
            return _complete_binding(present, wanted)
        case "FlowSchema" | "PriorityLevelConfiguration":
            return _complete_flow_control(present, wanted)
        case "ServiceCIDR" if len(wanted["spec"]["cidrs"]) > len(present["spec"]["cidrs"]):
            return _complete_fields(present, wanted, (("spec", "cidrs"),))
        case "ConfigMap":
            return _complete_fields(present, wanted, (("data",),))
        case "Service":
            return _complete_fields(present, wanted, (("spec", "ports"),))
        case "Endpoints":
            return _complete_fields(present, wanted, (("subsets",),))
        case "EndpointSlice":
            return _complete_fields(present, wanted, (("endpoints",), ("ports",)))
    return None


def _complete_role(present: JsonObject, wanted: JsonObject) -> JsonObject | None:
    if _is_protected(present):
        return None
    missing_labels = _lacking(present, wanted, "labels")
    held = read_rules(present.get("rules"))
    missing = [
        rule
        for rule, read in zip(wanted.get("rules") or (), read_rules(wanted.get("rules")), strict=True)
        if find_uncovered(held, [read])
    ]
    aggregation = wanted.get("aggregationRule")
    if not missing and not missing_labels and aggregation == present.get("aggregationRule"):
        return None
    completed: JsonObject = deep_copy(present)
    if aggregation:
        completed["aggregationRule"] = aggregation
    completed["rules"] = [*(completed.get("rules") or ()), *missing]
    _add_labels(completed, missing_labels)
    return completed


def _complete_binding(present: JsonObject, wanted: JsonObject) -> JsonObject | None:
    if _is_protected(present) or present.get("roleRef") != wanted.get("roleRef"):
        return None
    known = {_subject_key(one) for one in present.get("subjects") or ()}
    missing = [one for one in wanted.get("subjects") or () if _subject_key(one) not in known]
    if not missing:
        return None
    completed: JsonObject = deep_copy(present)
    completed["subjects"] = [*(completed.get("subjects") or ()), *missing]
    return completed


def _complete_flow_control(present: JsonObject, wanted: JsonObject) -> JsonObject | None:
    """A spec that nobody keeps by annotation follows ours.

    Source: k8s.io/apiserver/pkg/util/flowcontrol and kubernetes/pkg/registry/flowcontrol/ensurer v1.35.
    """
    annotations = present["metadata"].get("annotations") or {}
    if annotations.get(_AUTOUPDATE_SPEC) != "true" or present.get("spec") == wanted["spec"]:
        return None
    return {**deep_copy(present), "spec": wanted["spec"]}


def _subject_key(subject: JsonObject) -> tuple[str, str, str]:
    return subject.get("kind", ""), subject.get("namespace", ""), subject.get("name", "")


def _is_protected(obj: JsonObject) -> bool:
    annotations = obj["metadata"].get("annotations") or {}
    return annotations.get(_AUTOUPDATE) == "false"


def _lacking(present: JsonObject, wanted: JsonObject, field: str) -> dict[str, str]:
    own = present["metadata"].get(field) or {}
    return {
        key: value for key, value in (wanted["metadata"].get(field) or {}).items() if own.get(key) != value
    }


def _add_labels(obj: JsonObject, labels: dict[str, str]) -> None:
    if labels:
        obj["metadata"]["labels"] = {**(obj["metadata"].get("labels") or {}), **labels}


def _complete_fields(
    present: JsonObject, wanted: JsonObject, paths: Iterable[tuple[str, ...]]
) -> JsonObject | None:
    completed: JsonObject | None = None
    for path in paths:
        target, source = present, wanted
        for key in path[:-1]:
            target, source = target[key], source[key]
        if _is_like(target.get(path[-1]), source[path[-1]]):
            continue
        if completed is None:
            completed = deep_copy(present)
        place = completed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = deep_copy(source[path[-1]])
    return completed


def _is_like(present: object, wanted: object) -> bool:
    """Say whether `present` says all that `wanted` says; defaults may have been added."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(
            _is_like(present.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(present, list)
            and len(present) == len(wanted)
            and all(_is_like(one, other) for one, other in zip(present, wanted, strict=True))
        )
    return present == wanted
