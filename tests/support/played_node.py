"""A node that is played over HTTP: registers, renews its lease, and says of each of its pods that it runs; or ends it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from tests.support.black_box import ApiError

if TYPE_CHECKING:
    from types import TracebackType

    from tests.support.black_box import BlackBox

LEASE_S = 5.0


class PlayedNode:
    """Plays a kubelet while the block lasts. A pod with "broken" in an image never starts, one with "ends" in its images ends well."""

    def __init__(self, server: BlackBox, name: str = "played") -> None:
        self.name = name
        self._server = server
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._renew, self._watch)]

    def __enter__(self) -> Self:
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        node = {"metadata": {"name": self.name, "labels": labels}, "spec": {"podCIDR": "10.42.7.0/24"}}
        self._server.request("POST", "/api/v1/nodes", node)
        self._renew_lease("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")
        self._patch(f"/api/v1/nodes/{self.name}/status", {"status": _node_status(self.name)})
        for thread in self._threads:
            thread.start()
        self._server.until(self._untainted, what="a node without taints")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _untainted(self) -> bool:
        return not self._server.request("GET", f"/api/v1/nodes/{self.name}")["spec"].get("taints")

    def _renew(self) -> None:
        lease = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"
        while not self._ended.wait(LEASE_S):
            try:
                self._renew_lease("PATCH", lease)
            except (ApiError, OSError):
                if not self._ended.is_set():
                    raise

    def _renew_lease(self, method: str, path: str) -> None:
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": _now(micro=True)}
        content_type = "application/json" if method == "POST" else "application/merge-patch+json"
        body = {"metadata": {"name": self.name}, "spec": spec}
        self._server.request(method, path, body, content_type=content_type)

    def _watch(self) -> None:
        path = f"/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3D{self.name}"
        while not self._ended.is_set():
            try:
                connection, response = self._server.stream(path, timeout_s=3600)
                try:
                    while line := response.readline():
                        self._see(json.loads(line)["object"])
                finally:
                    connection.close()
            except OSError:
                if self._ended.wait(0.2):
                    return

    def _see(self, pod: Any) -> None:
        try:
            self._act(pod)
        except ApiError as error:
            # The pod went or changed meanwhile: its next event brings us here again.
            if error.code not in (404, 409):
                raise

    def _act(self, pod: Any) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if "deletionTimestamp" in meta:
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
            self._server.request("DELETE", path, options)
        elif pod["status"].get("phase") == "Pending" and not _is_broken(pod):
            self._patch(f"{path}/status", {"status": _pod_status(pod)})

    def _patch(self, path: str, body: Any) -> None:
        self._server.request("PATCH", path, body, content_type="application/strategic-merge-patch+json")


def _is_broken(pod: Any) -> bool:
    return any("broken" in one["image"] for one in pod["spec"]["containers"])


def _pod_status(pod: Any) -> Any:
    ended = all("ends" in one["image"] for one in pod["spec"]["containers"])
    terminated = {"exitCode": 0, "reason": "Completed", "startedAt": _now(), "finishedAt": _now()}
    state = {"terminated": terminated} if ended else {"running": {"startedAt": _now()}}
    containers = [
        {
            "name": one["name"],
            "image": one["image"],
            "imageID": one["image"],
            "containerID": f"played://{pod['metadata']['uid']}/{one['name']}",
            "ready": not ended,
            "started": not ended,
            "restartCount": 0,
            "state": state,
        }
        for one in pod["spec"]["containers"]
    ]
    conditions = [
        {"type": one, "status": "False" if ended and "Ready" in one[-5:] else "True", "lastTransitionTime": _now()}
        for one in ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
    ]
    address = f"10.42.7.{int(pod['metadata']['resourceVersion']) % 250 + 2}"
    return {
        "phase": "Succeeded" if ended else "Running",
        "hostIP": "192.0.2.7",
        "hostIPs": [{"ip": "192.0.2.7"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": _now(),
        "containerStatuses": containers,
        "conditions": conditions,
    }


def _node_status(name: str) -> Any:
    size = {"cpu": "64", "memory": "128Gi", "pods": "1000", "ephemeral-storage": "100Gi"}
    conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    return {
        "capacity": size,
        "allocatable": size,
        "addresses": [{"type": "InternalIP", "address": "192.0.2.7"}, {"type": "Hostname", "address": name}],
        "conditions": [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": _now(),
                "lastTransitionTime": _now(),
            }
            for kind, status, reason, message in conditions
        ],
        "nodeInfo": {
            "machineID": "played",
            "systemUUID": "played",
            "bootID": "played",
            "kernelVersion": "6.1.0",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "containerRuntimeVersion": "played://1.0",
            "kubeletVersion": "v1.35.4",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


def _now(*, micro: bool = False) -> str:
    text = datetime.now(UTC).isoformat(timespec="microseconds" if micro else "seconds")
    return text.replace("+00:00", "Z")
