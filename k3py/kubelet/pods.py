"""All pods of the node: one worker each, woken by the API's and the runtime's events; orphans are taken down.

Source: pkg/kubelet/kubelet.go syncLoop, HandlePodCleanups v1.35.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.kubelet.admission import reject_reason
from k3py.kubelet.labels import CONTAINER_NAME, POD_GRACE, POD_NAME, POD_NAMESPACE, POD_UID
from k3py.kubelet.log_rotation import find_large, move_away
from k3py.kubelet.pod import is_deleted, is_finished, is_mirror, is_static, iter_containers
from k3py.kubelet.pod_worker import PodWorker
from k3py.kubelet.registry_auth import with_default_tag
from k3py.kubelet.shutdown import REJECTED
from k3py.kubelet.static_pod_worker import StaticPodWorker, delete_mirror
from k3py.kubelet.static_pods import load_static_pods
from k3py.kubelet.volumes.manager import remove_pod_dir
from k3py.runtime.errors import RuntimeFailure
from k3py.util.backoff import Backoff
from k3py.util.inotify import CLOSE_WRITE, DELETE, MOVED, Inotify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from k3py.client.interface import Informer
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node_context import NodeContext
    from k3py.util.supervise import TaskScope

log = logging.getLogger(__name__)

_EVENTS_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 10.0
_WORKER_RETRY_S: Final = 10.0


class PodManager:
    """Keeps one worker a pod.

    Args:
        node: what workers share.
        informer: the pods that are bound to this node.
        scope: where the workers run.
        node_object: returns the Node as the API has it, None when it is not known yet.
    """

    def __init__(
        self,
        node: NodeContext,
        informer: Informer,
        scope: TaskScope,
        node_object: Callable[[], JsonObject | None],
    ) -> None:
        self._node = node
        self._informer = informer
        self._scope = scope
        self._node_object = node_object
        self._workers: dict[str, PodWorker] = {}
        self._closed = False
        self._static: dict[str, JsonObject] = {}  # what the files say, by uid
        self._housekeeping: asyncio.Task[None] | None = None
        self._orphans: set[str] = set()  # pods that are gone, with volumes of drivers
        self._driver_came = asyncio.Event()
        node.given_to_others = self._given_to_others
        node.room_made = self._room_made
        self.runtime_lost: Callable[[str], None] | None = None

    # --- what others ask ----------------------------------------------------------------------------------------------

    def find(self, namespace: str, name: str, uid: str = "") -> PodWorker | None:
        """Return the worker of a pod; of several with this name the one that is not being deleted."""
        found = [
            one
            for one in self._workers.values()
            if one.pod["metadata"]["name"] == name
            and one.pod["metadata"]["namespace"] == namespace
            and uid in ("", one.uid)
        ]
        return min(found, key=lambda one: is_deleted(one.pod), default=None)

    def list_pods(self) -> Sequence[JsonObject]:
        """Return all pods."""
        return [one.pod for one in self._workers.values()]

    def workers(self) -> Sequence[PodWorker]:
        """Return the workers of all pods."""
        return tuple(self._workers.values())

    def images_in_use(self) -> set[str]:
        """Return what containers that are there, running or not, and pods that are to run call their images."""
        found: set[str] = set()
        for worker in self._workers.values():
            for record in worker.record.containers:
                found |= {record.image, record.image_ref}
            if not worker.is_ending:
                images = (one.get("image") for _, one in iter_containers(worker.pod))
                found |= {with_default_tag(image) for image in images if image}
        return found

    def wake(self, uid: str) -> None:
        """Tell a worker that an object its volumes show has changed."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.refresh_volumes()

    def wake_all(self) -> None:
        """Let every worker look at its pod again."""
        for worker in self._workers.values():
            worker.look()

    # --- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow pods and runtime until cancelled."""
        await self._informer.wait_synced()
        self._node.objects.keep_only({one["metadata"]["uid"] for one in self._informer.lister.list()})
        runtime_pods = await self._list_runtime()
        # Seen before any worker makes something: what none of these pods owns can go.
        folders, groups = await asyncio.to_thread(self._list_leftovers)
        await self._load_static()
        self._informer.add_handler(self._handle)
        for pod in self._informer.lister.list():
            self._take(pod)
        for pod in runtime_pods:
            if pod["metadata"]["uid"] not in self._workers:
                log.info("orphaned pod is taken down", extra={"pod": pod["metadata"]["uid"]})
                self._add(pod).remove()
        known = self._workers.keys()
        # What drivers mounted there, they have to take down first: `clean_behind`, when they are there.
        held = frozenset() if self._node.csi is None else self._node.csi.pods()
        self._orphans = {one for one in folders if one in held and one not in known}
        folders = [one for one in folders if one not in known and one not in held]
        groups = {uid: group for uid, group in groups.items() if uid not in known}
        await asyncio.to_thread(self._remove_leftovers, folders, groups)
        _ = self._scope.spawn(self._clean_behind(), name="kubelet-clean-behind")
        _ = self._scope.spawn(self._follow_cpus(), name="kubelet-cpus")
        if self._node.config.static_pods_dir is not None:
            _ = self._scope.spawn(self._follow_static(self._node.config.static_pods_dir), name="static-pods")
        try:
            await self._follow_runtime()
        finally:
            # Informers outlive a kubelet that begins again: this one hears them still, and must not act.
            self._closed = True
            self._workers = {}

    def _handle(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if self._closed:
            return
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            worker = self._workers.get(old["metadata"]["uid"])
            if worker is not None:
                worker.remove()
            static = self._find_static(old)
            if (
                static is not None
                and (static.mirror or {}).get("metadata", {}).get("uid") == old["metadata"]["uid"]
            ):
                static.see_mirror(None)
        if new is not None:
            self._take(new)

    def _take(self, pod: JsonObject) -> None:
        if is_mirror(pod):
            self._see_mirror(pod)
            return
        worker = self._workers.get(pod["metadata"]["uid"])
        if worker is not None:
            worker.update(pod)
            return
        self._begin(self._add(pod))

    def _begin(self, worker: PodWorker) -> None:
        """Refuse a new pod that the node cannot run."""
        pod = worker.pod
        if not is_finished(pod) and not is_deleted(pod) and not (pod.get("status") or {}).get("startTime"):
            if self._node.is_shutting_down():
                worker.events.warning(*REJECTED)
                worker.fail(*REJECTED)
                return
            active = self._given_to_others(worker.uid)
            if rejected := reject_reason(
                pod, self._node_object(), active, max_pods=self._node.config.settings.max_pods
            ):
                worker.events.warning(*rejected)
                worker.fail(*rejected)

    def _given_to_others(self, uid: str) -> list[JsonObject]:
        """Return the pods beside one as they count for the node: with the resources that they have been given."""
        return [
            one.effective
            for one in self._workers.values()
            if one.uid != uid and not is_finished(one.pod) and not one.is_ending
        ]

    def _room_made(self) -> None:
        """Let pods that wait for resources look again."""
        for worker in self._workers.values():
            if worker.resize.condition is not None:
                worker.changed.set()

    def _make(self, pod: JsonObject) -> PodWorker:
        if is_static(pod):
            return StaticPodWorker(self._node, pod, self._node_object)
        return PodWorker(self._node, pod)

    def _add(self, pod: JsonObject) -> PodWorker:
        worker = self._make(pod)
        self._workers[worker.uid] = worker
        _ = self._scope.spawn(self._live(worker), name=f"pod-{pod['metadata']['name']}")
        return worker

    async def _live(self, worker: PodWorker) -> None:
        """Run a worker; one that broke is made anew and takes over what the runtime has."""
        while True:
            try:
                await worker.run()
            except Exception:
                log.exception("pod worker failed", extra={"pod": worker.uid})
            else:
                if self._workers.get(worker.uid) is worker:
                    del self._workers[worker.uid]
                self._room_made()
                if self._static and not self._closed:
                    self._apply_static()  # the next one of this name may have waited
                return
            await asyncio.sleep(_WORKER_RETRY_S)
            following = self._make(worker.pod)
            if worker.removed:
                following.remove()
            worker = self._workers[worker.uid] = following

    def drivers_changed(self) -> None:
        """Try again what waits for a driver: one more is there."""
        for worker in self._workers.values():
            worker.refresh_volumes()
        self._driver_came.set()

    async def _follow_cpus(self) -> None:
        """Move running containers that have no CPUs of their own to those that are left, whenever that changes."""
        while True:
            await self._node.cpus_changed.wait()
            self._node.cpus_changed.clear()
            cpus = None if self._node.devices is None else self._node.devices.cpus
            for worker in tuple(self._workers.values()) if cpus is not None else ():
                for record in worker.record.running():
                    if cpus is None or cpus.exclusive(worker.uid, record.name):
                        continue
                    try:
                        linux = {"cpuset_cpus": cpus.cpus_of(worker.uid, record.name)}
                        await self._node.runtime.update_container_resources(record.id, linux)
                    except RuntimeFailure as error:
                        log.warning(
                            "container keeps its CPUs", extra={"container": record.id, "error": str(error)}
                        )

    async def _clean_behind(self) -> None:
        """Take down volumes and devices that pods left which are gone, as soon as their drivers are there."""
        csi, devices = self._node.csi, self._node.devices
        while True:
            self._driver_came.clear()
            known = frozenset(self._workers)
            if devices is not None:
                await devices.clean(known)
            if csi is not None:
                await csi.clean(known)
                free = self._orphans - csi.pods()
                self._orphans -= free
                await asyncio.to_thread(self._remove_leftovers, free, {})
            await self._driver_came.wait()

    # --- static pods --------------------------------------------------------------------------------------------------

    async def _load_static(self) -> None:
        folder = self._node.config.static_pods_dir
        if folder is not None:
            pods = await asyncio.to_thread(load_static_pods, folder, self._node.config.node_name)
            self._static = {one["metadata"]["uid"]: one for one in pods}
            self._apply_static()

    async def _follow_static(self, folder: Path) -> None:
        """Read the files again whenever one comes, goes or was written."""
        async with Inotify() as watch:
            watch.add(folder, CLOSE_WRITE | MOVED | DELETE)
            while True:
                await self._load_static()
                await watch.changed()

    def _apply_static(self) -> None:
        """Run what the files say; a pod whose file changed goes before its successor comes."""
        for worker in tuple(self._workers.values()):
            if isinstance(worker, StaticPodWorker) and worker.uid not in self._static and not worker.removed:
                worker.remove()
        for uid, pod in self._static.items():
            if uid not in self._workers and self._find_static(pod) is None:
                self._begin(self._add(pod))

    def _find_static(self, pod: JsonObject) -> StaticPodWorker | None:
        """Return the static pod with the name of a pod."""
        metadata = pod["metadata"]
        for worker in self._workers.values():
            own = worker.pod["metadata"]
            if isinstance(worker, StaticPodWorker) and (own["namespace"], own["name"]) == (
                metadata["namespace"],
                metadata["name"],
            ):
                return worker
        return None

    def _see_mirror(self, mirror: JsonObject) -> None:
        worker = self._find_static(mirror)
        if worker is not None:
            worker.see_mirror(mirror)
        else:  # its file went while nobody looked
            _ = self._scope.spawn(self._drop_mirror(mirror), name="mirror-pod")

    async def _drop_mirror(self, mirror: JsonObject) -> None:
        try:
            await delete_mirror(self._node, mirror)
        except ApiError as error:
            log.warning("mirror pod stays", extra={"error": error.message})

    # --- housekeeping -------------------------------------------------------------------------------------------------

    def housekeep(self) -> None:
        """Rotate logs and share out the CPU of the QoS classes; called by the node's timer."""
        if self._housekeeping is None or self._housekeeping.done():
            self._housekeeping = self._scope.spawn(self._housekeep(), name="kubelet-housekeeping")

    async def _housekeep(self) -> None:
        logs = [
            (record.id, Path(record.log_path))
            for worker in self._workers.values()
            for record in worker.record.containers
            if record.running and record.log_path
        ]
        pods = [one.effective for one in self._workers.values() if not is_finished(one.pod)]
        settings = self._node.config.settings
        try:
            if self._node.cgroups is not None:
                await asyncio.to_thread(self._node.cgroups.share_out, pods)
            for identity, path in await asyncio.to_thread(
                find_large, logs, max_size_bytes=settings.log_size_bytes
            ):
                await asyncio.to_thread(move_away, path, max_files=settings.log_files)
                await self._node.runtime.reopen_container_log(identity)
        except (OSError, RuntimeFailure) as error:
            log.warning("housekeeping failed", extra={"error": str(error)})

    # --- the runtime --------------------------------------------------------------------------------------------------

    async def _list_runtime(self) -> list[JsonObject]:
        """Return what the runtime has as Pod documents that are good enough to take them down."""
        backoff = Backoff(first_s=_EVENTS_RETRY_S, cap_s=_LONGEST_RETRY_S, jitter=0.0)
        while True:
            try:
                sandboxes = await self._node.runtime.list_pod_sandboxes()
                containers = await self._node.runtime.list_containers()
            except RuntimeFailure as error:
                log.warning("runtime cannot be read", extra={"error": str(error)})
                await asyncio.sleep(backoff.next_s())
            else:
                return _runtime_pods((*sandboxes, *containers))

    async def _follow_runtime(self) -> None:
        while True:
            try:
                async with self._node.runtime.events() as events:
                    async for event in events:
                        self._on_event(event.pod_uid, event.sandbox_id, event.container_id, event.type)
                error: Exception = RuntimeFailure("the stream of events ended")
            except RuntimeFailure as failure:
                error = failure
            log.warning("runtime events lost", extra={"error": str(error)})
            if self.runtime_lost is not None:
                self.runtime_lost(str(error))
            await asyncio.sleep(_EVENTS_RETRY_S)

    def _on_event(self, uid: str, sandbox_id: str, container_id: str, kind: str) -> None:
        owners = self._node.owners
        uid = uid or owners.get(container_id, "") or owners.get(sandbox_id, "")
        worker = self._workers.get(uid)
        if worker is not None:
            worker.look()
        elif kind == "unknown":
            self.wake_all()

    def _list_leftovers(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return uids of pods that have a folder, and cgroups of pods by uid."""
        groups = {} if self._node.cgroups is None else self._node.cgroups.pods()
        return _entries(self._node.config.root_dir / "pods"), groups

    def _remove_leftovers(self, folders: Iterable[str], groups: Mapping[str, str]) -> None:
        """Remove folders and cgroups of pods that neither API nor runtime has."""
        for folder in folders:
            try:
                remove_pod_dir(self._node.config.pod_dir(folder), self._node.mounter)
            except OSError as error:
                log.warning("pod folder stays", extra={"uid": folder, "error": str(error)})
        for group in groups.values():
            if self._node.cgroups is not None:
                self._node.cgroups.remove(group)


def _entries(folder: os.PathLike[str]) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are wanted
    except FileNotFoundError:
        return []


def _runtime_pods(documents: Iterable[JsonObject]) -> list[JsonObject]:
    pods: dict[str, JsonObject] = {}
    for one in documents:
        labels = one.get("labels") or {}
        if POD_UID not in labels:
            continue
        pod = pods.setdefault(
            labels[POD_UID],
            {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {
                    "name": labels.get(POD_NAME, ""),
                    "namespace": labels.get(POD_NAMESPACE, ""),
                    "uid": labels[POD_UID],
                },
                "spec": {"containers": []},
            },
        )
        if name := labels.get(CONTAINER_NAME):
            if all(known["name"] != name for known in pod["spec"]["containers"]):
                pod["spec"]["containers"].append({"name": name})
            grace = (one.get("annotations") or {}).get(POD_GRACE, "")
            if grace.isdigit():
                pod["spec"]["terminationGracePeriodSeconds"] = int(grace)
    return list(pods.values())
