"""NetworkPolicyController: keeps the kernel's rules equal to the cluster's network policies, for the pods of this node.

Woken by changes, never by a clock. While there is no policy in the cluster, nothing else is followed (pods of other nodes cost an agent
memory) and there is no table. The kubelet tells a new pod's addresses before its containers start, so that their first packet already
meets the rules; what its peers' nodes know of it follows with its status.

    policies ──none──► no table
        └──some──► follow pods and namespaces ──► plan (pure, in a thread) ──► one transaction ──► pods that wait may start
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.resource import NAMESPACES, NETWORK_POLICIES, NODES, PODS
from k3py.errors import K3pyError
from k3py.network.interface import PolicyEnforcer
from k3py.network.policy.planner import plan_policies, selects
from k3py.network.policy.pods import PolicyPod, read_pod
from k3py.util.supervise import Component, Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from k3py.client.interface import Informer, InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.network.nftables import NftTable

_log = logging.getLogger(__name__)

_SYNC_S: Final = 10.0
_APPLY_S: Final = 30.0
_DNS_NAMESPACE: Final = "kube-system"
_DNS_LABELS: Final = {"k8s-app": "kube-dns"}
_Key = tuple[str, str]


class NotEnforced(K3pyError):
    """The rules for a new pod could not be written in time."""


class NetworkPolicyController(Component, PolicyEnforcer):
    """See the module.

    Args:
        informers: of policies, and of pods, namespaces and nodes once there are policies.
        table: where the rules go.
        node_name: this node.
        dns_addresses: returns where the DNS server of a Node is: policies name it as pods of kube-system with the label
            k8s-app=kube-dns, as if it were in pods as usual.
    """

    def __init__(
        self,
        informers: InformerFactory,
        table: NftTable,
        *,
        node_name: str,
        dns_addresses: Callable[[JsonObject], Sequence[str]],
    ) -> None:
        self._informers = informers
        self._policies = informers.informer(NETWORK_POLICIES)
        self._nodes = informers.informer(NODES)
        self._pods: Informer | None = None
        self._namespaces: Informer | None = None
        self._table = table
        self._node_name = node_name
        self._dns_addresses = dns_addresses
        self._told: dict[_Key, tuple[JsonObject, tuple[str, ...]]] = {}
        self._read: dict[_Key, PolicyPod] = {}
        self._wake = asyncio.Event()
        self._wanted = 0
        self._reached = 0
        self._progress = asyncio.Condition()
        self._policies.add_handler(self._on_policy)
        self._nodes.add_handler(self._on_node)

    @property
    def name(self) -> str:
        """Return "network-policy"."""
        return "network-policy"

    @property
    def policy(self) -> Policy:
        """Rules that cannot be written are written again later."""
        return Policy.RESTART

    async def run(self, started: Callable[[], None]) -> None:
        """Enforce until cancelled; the rules stay.

        It counts as started at once: a node that boots without its server, and never knew of policies, goes on; pods wait in `admit`.
        """
        started()
        await self._policies.wait_synced()
        await self._nodes.wait_synced()
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            number = self._wanted
            policies = self._policies.lister.list()
            if policies:
                await self._follow()
            pods, namespaces = (self._list_pods(), self._list_namespaces()) if policies else ((), {})
            await self._table.apply(await asyncio.to_thread(plan_policies, policies, pods, namespaces))
            async with self._progress:
                self._reached = number
                self._progress.notify_all()

    async def admit(self, pod: JsonObject, find_addresses: Callable[[], Awaitable[Sequence[str]]]) -> None:
        """Return once the kernel's rules know a new pod; at once when no policy selects it.

        Raises:
            NotEnforced: the rules cannot be written; the pod must not start.
        """
        try:
            async with asyncio.timeout(_SYNC_S):
                await self._policies.wait_synced()
        except TimeoutError:
            _log.warning(
                "network policies are not known, starting a pod without",
                extra={"pod": pod["metadata"]["name"]},
            )
            return
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        if not any(
            selects(one, metadata["namespace"], labels)
            for one in self._policies.lister.list(metadata["namespace"])
        ):
            return
        self._told[metadata["namespace"], metadata["name"]] = (pod, tuple(await find_addresses()))
        number = self._note()
        try:
            async with asyncio.timeout(_APPLY_S), self._progress:
                await self._progress.wait_for(lambda: self._reached >= number)
        except TimeoutError:
            raise NotEnforced("network policies that select the pod cannot be enforced yet") from None

    async def _follow(self) -> None:
        """Follow pods and namespaces from now on."""
        if self._pods is None or self._namespaces is None:
            self._pods = self._informers.informer(PODS)
            self._namespaces = self._informers.informer(NAMESPACES)
            self._pods.add_handler(self._on_pod)
            self._namespaces.add_handler(self._on_namespace)
        await self._pods.wait_synced()
        await self._namespaces.wait_synced()

    def _note(self) -> int:
        self._wanted += 1
        self._wake.set()
        return self._wanted

    def _on_policy(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if old is None or new is None or old.get("spec") != new.get("spec"):
            self._note()

    def _on_node(self, old: JsonObject | None, new: JsonObject | None) -> None:
        before, after = (() if one is None else tuple(self._dns_addresses(one)) for one in (old, new))
        if before != after:
            self._note()

    def _on_namespace(self, old: JsonObject | None, new: JsonObject | None) -> None:
        before, after = (None if one is None else one["metadata"].get("labels") for one in (old, new))
        if before != after:
            self._note()

    def _on_pod(self, old: JsonObject | None, new: JsonObject | None) -> None:
        metadata = (new or old or {})["metadata"]
        key = (metadata["namespace"], metadata["name"])
        seen = None if new is None else read_pod(new, node_name=self._node_name)
        if (told := self._told.pop(key, None)) is not None and new is not None:
            # Until the status names them, too, what the kubelet told is newer: no status yet, or that of a sandbox before.
            newer = read_pod(new, node_name=self._node_name, addresses=told[1])
            if newer is not None and (seen is None or seen.addresses != told[1]):
                self._told[key] = (new, told[1])
                seen = newer
        if seen == self._read.get(key):
            return
        if seen is None:
            del self._read[key]
        else:
            self._read[key] = seen
        self._note()

    def _list_pods(self) -> list[PolicyPod]:
        """Return the pods in the order in which they count: what the kubelet tells is newer than what the API says."""
        pods = [
            PolicyPod(
                namespace=_DNS_NAMESPACE,
                name=f"dns-of-{node['metadata']['name']}",
                labels=_DNS_LABELS,
                addresses=tuple(self._dns_addresses(node)),
                ports=(("dns", "UDP", 53), ("dns-tcp", "TCP", 53)),
                shares_node=True,
            )
            for node in self._nodes.lister.list()
        ]
        told = [
            read_pod(pod, node_name=self._node_name, addresses=addresses)
            for pod, addresses in self._told.values()
        ]
        pods += [one for key, one in self._read.items() if key not in self._told]
        return [*pods, *filter(None, told)]

    def _list_namespaces(self) -> Mapping[str, Mapping[str, str]]:
        assert self._namespaces is not None
        return {
            one["metadata"]["name"]: one["metadata"].get("labels") or {}
            for one in self._namespaces.lister.list()
        }
