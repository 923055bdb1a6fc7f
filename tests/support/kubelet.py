"""A kubelet on a fake runtime and a fake API, in a temporary folder, without mounts and cgroups."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from k3py.api.resource import NODES, PODS
from k3py.client.reflector import HttpInformerFactory
from k3py.kubelet.settings import KubeletSettings
from k3py.kubelet.wiring import Kubelet, KubeletConfig
from k3py.runtime.fake import FakeRuntime
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from k3py.client.last_known import LastKnown
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.shutdown import Inhibitor
    from k3py.network.interface import PolicyEnforcer

NODE = "n1"


class NoMounter:
    """Mounts nothing."""

    def mount_tmpfs(self, path: Path, *, size_bytes: int = 0) -> None:
        """Leave the folder as it is."""

    def bind(self, source_fd: int, target: Path) -> None:
        """Do nothing."""

    def unmount(self, path: Path) -> None:
        """Do nothing."""

    def mounts_below(self, path: Path) -> list[Path]:
        """Return nothing."""
        return []


class NoNetwork:
    """Takes any range."""

    async def configure(self, *, pod_cidr: str, cni_conf_dir: Path) -> None:
        """Accept."""


@dataclass
class Events:
    """What was recorded: (reason, message)."""

    told: list[tuple[str, str]] = field(default_factory=list)

    def event(
        self, obj: JsonObject, event_type: str, reason: str, message: str, *, field_path: str = ""
    ) -> None:
        """Note an Event."""
        self.told.append((reason, message))

    @property
    def reasons(self) -> list[str]:
        """Return the reasons in order."""
        return [reason for reason, _ in self.told]


@dataclass
class Bench:
    """What a test looks at."""

    client: FakeClient
    runtime: FakeRuntime
    events: Events
    kubelet: Kubelet
    informers: FakeInformerFactory | HttpInformerFactory

    def pod(self, name: str = "p") -> JsonObject | None:
        """Return a pod as the API has it."""
        return self.informers.informer(PODS, field_selector=f"spec.nodeName={NODE}").lister.find(
            "default", name
        )

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Let the loop run until the condition holds (a bounded number of turns); return its value."""
        for _ in range(4000):
            if found := condition():
                return found
            await asyncio.sleep(0.001)
        raise AssertionError(f"never came true; pod: {self.pod()}; events: {self.events.told}")

    def status(self, name: str = "p") -> JsonObject:
        """Return a pod's status."""
        found = self.pod(name)
        return {} if found is None else found.get("status") or {}

    def phase(self, name: str = "p") -> str:
        """Return a pod's phase."""
        return str(self.status(name).get("phase", ""))

    def container(self, index: int = 0, name: str = "p", part: str = "containerStatuses") -> JsonObject:
        """Return a container's status."""
        found = self.status(name).get(part) or []
        return found[index] if len(found) > index else {"state": {}, "lastState": {}, "ready": False}

    def condition(self, kind: str, name: str = "p") -> str:
        """Return the status of a condition."""
        return next(
            (one["status"] for one in self.status(name).get("conditions") or () if one["type"] == kind), ""
        )


@asynccontextmanager
async def running_kubelet(
    tmp_path: Path,
    *,
    runtime: FakeRuntime | None = None,
    client: FakeClient | None = None,
    static_pods: Path | None = None,
    last_known: LastKnown | None = None,
    settings: KubeletSettings | None = None,
    inhibitor: Inhibitor | None = None,
    policy_enforcer: PolicyEnforcer | None = None,
) -> AsyncIterator[Bench]:
    """Run a kubelet on node n1; with `last_known` as on an agent, which may start without its server."""
    client = client or FakeClient(graceful_pods=True)
    informers = FakeInformerFactory(client) if last_known is None else HttpInformerFactory(client, last_known)
    events = Events()
    config = KubeletConfig(
        node_name=NODE,
        node_ip="10.0.0.1",
        root_dir=tmp_path / "kubelet",
        pod_logs_dir=tmp_path / "logs",
        container_logs_dir=tmp_path / "links",
        cni_conf_dir=tmp_path / "cni",
        resolv_conf=tmp_path / "resolv.conf",
        cgroups_enabled=False,
        cluster_dns="10.43.0.10",
        port=0,
        static_pods_dir=static_pods,
        settings=settings or KubeletSettings(),
    )
    own = FakeRuntime() if runtime is None else None
    if own is not None:
        await own.__aenter__()
    used = runtime or own
    assert used is not None
    kubelet = Kubelet(
        config,
        client,
        informers,
        events,
        used,
        used,
        NoNetwork(),
        mounter=NoMounter(),
        inhibitor=inhibitor,
        last_known=last_known,
        policy_enforcer=policy_enforcer,
    )
    started = asyncio.Event()
    try:
        async with TaskScope() as scope:
            if last_known is not None:
                _ = scope.spawn(last_known.run(_ignore), name="last-known-state")
            _ = scope.spawn(informers.run(_ignore), name="informers")
            _ = scope.spawn(kubelet.run(started.set), name="kubelet")
            await started.wait()
            bench = Bench(client, used, events, kubelet, informers)
            for node in client.objects(NODES):
                client.seed(NODES, node | {"spec": {**(node.get("spec") or {}), "podCIDR": "10.42.0.0/24"}})
            yield bench
            scope.cancel()
    finally:
        if own is not None:
            await own.__aexit__(None, None, None)


def _ignore() -> None:
    """Hear that a component has started."""


def bound_pod(
    name: str = "p", *, uid: str = "", containers: list[JsonObject] | None = None, **spec: object
) -> JsonObject:
    """Return a pod that is bound to node n1 and has status Pending."""
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "uid": uid or f"uid-{name}"},
        "spec": {
            "nodeName": NODE,
            "restartPolicy": "Always",
            "containers": containers or [container()],
            **spec,
        },
        "status": {"phase": "Pending"},
    }


def container(name: str = "c", *command: str, **extra: object) -> JsonObject:
    """Return a container of the local busybox image."""
    return {
        "name": name,
        "image": "docker.io/library/busybox:local",
        **({"command": list(command)} if command else {}),
        **extra,
    }
