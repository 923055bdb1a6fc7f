"""A steady load on a kube-apiserver, and checks that nothing of it is lost, doubled or out of order."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.kube_apiserver_process import EVENT_TTL_S, Gone, Refused

if TYPE_CHECKING:
    from tests.support.kube_apiserver_process import ApiClient, KubeApiServer

CONFIG_MAPS: Final = "/api/v1/namespaces/default/configmaps"
EVENTS: Final = "/api/v1/namespaces/default/events"
MERGE_PATCH: Final = "application/merge-patch+json"
LAST: Final = "end"
LIVING: Final = 100
"""So many objects of each writer stay until others take their place."""

EVENT_GRACE_S: Final = 30.0
"""An Event goes so long after its time at the latest: API servers share one lease among Events of several seconds."""


def version_of(document: Any) -> int:
    """Return the resource version."""
    return int(document["metadata"]["resourceVersion"])


class Load:
    """Writers, each with names of its own: create, patch, update with a stale version, list, page, delete."""

    def __init__(self, api: KubeApiServer, *, writers: int, rate: float, seconds: float) -> None:
        self._api = api
        self._writers = writers
        self._interval_s = writers / rate
        self._seconds = seconds
        self.history: dict[str, list[tuple[str, int | None]]] = {}
        """What was done to each object: (event, resource version that the answer told)."""
        self.writes = 0
        self._lists = 0
        self._latencies_s: list[float] = []

    def figures(self) -> str:
        """Return counts and latencies so far."""
        ordered = sorted(self._latencies_s)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.99))
        return f"{self.writes} writes, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {self._lists} lists"

    def run(self) -> None:
        """Write until the time is over; raises what a writer met."""
        with ThreadPoolExecutor(self._writers) as pool:
            for done in [pool.submit(self._write, name) for name in range(self._writers)]:
                done.result()

    def finish(self) -> None:
        """Write the object that tells watchers that it was the last."""
        with closing(self._api.client()) as client:
            self._do(client, "ADDED", LAST, "POST", CONFIG_MAPS, {"metadata": {"name": LAST}})

    def _write(self, writer: int) -> None:
        living: list[str] = []
        number, begun = 0, time.monotonic()
        with closing(self._api.client()) as client:
            while (now := time.monotonic()) < begun + self._seconds:
                time.sleep(max(0.0, begun + number * 3 * self._interval_s - now))
                name, number = f"w{writer}-{number}", number + 1
                self._write_one(client, writer, name)
                living.append(name)
                if len(living) > LIVING or number % 3 == 0:
                    gone = living.pop(0)
                    self._do(client, "DELETED", gone, "DELETE", f"{CONFIG_MAPS}/{gone}")
                if number % 20 == 0:
                    self._check_lists(client, writer, sorted(living))

    def _write_one(self, client: ApiClient, writer: int, name: str) -> None:
        metadata = {"name": name, "labels": {"writer": str(writer)}}
        made = self._do(
            client, "ADDED", name, "POST", CONFIG_MAPS, {"metadata": metadata, "data": {"v": "x" * 1000}}
        )
        path = f"{CONFIG_MAPS}/{name}"
        patched = self._do(client, "MODIFIED", name, "PATCH", path, {"data": {"more": name}}, MERGE_PATCH)
        assert version_of(patched) > version_of(made)
        with pytest.raises(Refused, match=r"^409:"):
            client.call("PUT", path, made)

    def _do(self, client: ApiClient, event: str, name: str, *request: Any) -> Any:
        begun = time.perf_counter()
        answer = client.call(*request)
        self._latencies_s.append(time.perf_counter() - begun)
        version = version_of(answer) if event != "DELETED" else None
        self.history.setdefault(name, []).append((event, version))
        self.writes += 1
        return answer

    def _check_lists(self, client: ApiClient, writer: int, living: list[str]) -> None:
        mine = f"{CONFIG_MAPS}?labelSelector=writer%3D{writer}"
        whole = client.call("GET", mine)
        assert names_of(whole) == living, "a consistent list differs from what was written"
        with suppress(Gone):  # compacted meanwhile, on a busy machine
            pinned = client.call(
                "GET", f"{mine}&resourceVersion={version_of_list(whole)}&resourceVersionMatch=Exact"
            )
            assert pinned["items"] == whole["items"], "an exact list differs from the list of that version"
            pages, token = [], ""
            while True:
                page = client.call("GET", f"{mine}&limit=7&continue={token}")
                pages += names_of(page)
                token = page["metadata"].get("continue", "")
                if not token:
                    break
            assert sorted(pages) == living, "pages differ from what was written"
        self._lists += 1


def names_of(answer: Any) -> list[str]:
    """Return the names in a list, sorted."""
    return sorted(item["metadata"]["name"] for item in answer["items"])


def version_of_list(answer: Any) -> int:
    """Return the resource version of a list."""
    return int(answer["metadata"]["resourceVersion"])


class Watcher(threading.Thread):
    """A watch from before the load until LAST comes, taken up again where the API server ends it."""

    def __init__(self, api: KubeApiServer) -> None:
        super().__init__(daemon=True)
        self._api = api
        with closing(api.client()) as client:
            begun = client.call("GET", CONFIG_MAPS)
        self._version = version_of_list(begun)
        self._known = set(names_of(begun))
        self._seen: list[tuple[str, str, int]] = []

    def run(self) -> None:
        """Collect events."""
        while not (self._seen and self._seen[-1][1] == LAST):
            with closing(self._api.client()) as client:
                self._follow(client)

    def _follow(self, client: ApiClient) -> None:
        query = f"watch=1&allowWatchBookmarks=true&resourceVersion={self._version}"
        try:
            for line in client.open("GET", f"{CONFIG_MAPS}?{query}"):
                event = json.loads(line)
                self._version = version_of(event["object"])
                if event["type"] == "BOOKMARK":
                    continue
                name = event["object"]["metadata"]["name"]
                self._seen.append((event["type"], name, self._version))
                if name == LAST:
                    return
        except TimeoutError:  # nothing for a minute: resume
            return

    def check(self, history: dict[str, list[tuple[str, int | None]]]) -> None:
        """Compare what was seen with what was done."""
        versions = [version for *_, version in self._seen]
        assert versions == sorted(set(versions)), "events came twice or out of order"
        seen: dict[str, list[tuple[str, int]]] = {}
        for event, name, version in self._seen:
            seen.setdefault(name, []).append((event, version))
        assert seen.keys() == history.keys(), "objects are missing in the watch, or unknown"
        for name, done in history.items():
            assert len(done) == len(seen[name]), (name, done, seen[name])
            for (event, told), (seen_event, version) in zip(done, seen[name], strict=True):
                assert (event, told or version) == (seen_event, version), name


class EventLoad(threading.Thread):
    """Creates Events, which have a lease each few seconds, and checks that each goes in its time, never earlier."""

    def __init__(self, api: KubeApiServer, *, seconds: float) -> None:
        super().__init__(daemon=True)
        self._api = api
        self._seconds = seconds
        self._made: dict[str, float] = {}
        self._problems: list[str] = []
        self.expired = 0

    def run(self) -> None:
        """Create one Event a second and list them."""
        begun = time.monotonic()
        with closing(self._api.client()) as client:
            number = 0
            while time.monotonic() < begun + self._seconds:
                self._create(client, f"e-{number}")
                number += 1
                self._list(client)
                time.sleep(1)
            deadline = time.monotonic() + EVENT_TTL_S + EVENT_GRACE_S
            while self._made and time.monotonic() < deadline:
                self._list(client)
                time.sleep(1)

    def _create(self, client: ApiClient, name: str) -> None:
        begun = time.monotonic()
        reference = {"kind": "ConfigMap", "namespace": "default", "name": name}
        document = {
            "metadata": {"name": name},
            "involvedObject": reference,
            "reason": "Test",
            "type": "Normal",
        }
        client.call("POST", EVENTS, document)
        self._made[name] = begun

    def _list(self, client: ApiClient) -> None:
        asked = time.monotonic()
        there = set(names_of(client.call("GET", EVENTS)))
        answered = time.monotonic()
        for name, begun in tuple(self._made.items()):
            if name not in there:
                if answered - begun < EVENT_TTL_S:
                    self._problems.append(f"{name} went after {answered - begun:.1f} s")
                del self._made[name]
                self.expired += 1
            elif asked - begun > EVENT_TTL_S + EVENT_GRACE_S:
                self._problems.append(f"{name} is there after {asked - begun:.1f} s")
                del self._made[name]

    def check(self) -> None:
        """Raise what went wrong."""
        assert self._problems == []
        assert self._made == {}, "Events outlive their time"
        assert self.expired > 0
