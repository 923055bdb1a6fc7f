"""A real kube-apiserver on `k3py kine` over SQLite, with its own check of cache against store switched to panic.

Only with K3PY_TEST_KUBE_APISERVER=$(tests/support/kube_apiserver/build), which takes minutes; K3PY_SECONDS for a long run.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.support.etcd import free_port
from tests.support.kine_process import kine

PROGRAM = os.environ.get("K3PY_TEST_KUBE_APISERVER", "")
SECONDS = float(os.environ.get("K3PY_SECONDS", "20"))
PATH = "/api/v1/namespaces/default/configmaps"
EXPECTED = re.compile(
    "previous endpoints on kubernetes service|kube-system.* not found|not found.*kube-system|priorityclass"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120 + 2 * SECONDS),
    pytest.mark.skipif(not PROGRAM, reason="K3PY_TEST_KUBE_APISERVER is not set"),
]


class ApiServer:
    """A kube-apiserver and a client of it."""

    def __init__(self, port, log):
        self.url = f"https://127.0.0.1:{port}"
        self.log = log
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def open(self, method, path, document=None, kind="application/json"):
        body = None if document is None else json.dumps(document).encode()
        headers = {"Authorization": "Bearer token", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        return urllib.request.urlopen(request, context=self.context, timeout=SECONDS + 60)

    def call(self, *arguments):
        with self.open(*arguments) as answer:
            return json.load(answer)

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.open("GET", "/readyz"):
                    return
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                time.sleep(0.2)

    def complaints(self):
        """Lines of its log that tell of an error after its start."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if re.match(r"[EF]\d{4} |panic", line) and not EXPECTED.search(line)]


@contextmanager
def kube_apiserver(folder, url):
    """Run a kube-apiserver on the etcd at `url`."""
    port, log = free_port(), folder / "apiserver.log"
    key = folder / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text('token,admin,1,"system:masters"\n')
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(PROGRAM, f"--etcd-servers={url}", f"--secure-port={port}", "--bind-address=127.0.0.1"),
                *(f"--cert-dir={folder}/certs", f"--token-auth-file={folder}/tokens.csv"),
                *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
                *("--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC"),
                *("--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none"),
                "--etcd-compaction-interval=5s",
            ],
            stdout=file,
            stderr=file,
            env={**os.environ, "KUBE_WATCHCACHE_CONSISTENCY_CHECKER": "true"},
        )
    try:
        server = ApiServer(port, log)
        server.wait_until_ready()
        yield server
        assert process.poll() is None, "the API server ended"
    finally:
        process.kill()
        process.wait()


def names_of(answer):
    return sorted(item["metadata"]["name"] for item in answer["items"])


def follow(api, version, seen):
    """Collect (type, name, resourceVersion) of a watch until an object named "end" comes."""
    with api.open("GET", f"{PATH}?watch=1&resourceVersion={version}") as stream:
        for line in stream:
            event = json.loads(line)
            metadata = event["object"]["metadata"]
            seen.append((event["type"], metadata["name"], int(metadata["resourceVersion"])))
            if metadata["name"] == "end":
                return


def test_an_api_server_creates_lists_watches_and_deletes_without_an_error(tmp_path):
    with (
        kine(endpoint=f"sqlite://{tmp_path}/state.db") as store,
        kube_apiserver(tmp_path, store.url) as api,
    ):
        begun = api.call("GET", PATH)
        seen, expected, living, number = [], [], set(names_of(begun)), 0
        version = begun["metadata"]["resourceVersion"]
        watcher = threading.Thread(target=follow, args=(api, version, seen))
        watcher.start()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            name, number = f"c-{number}", number + 1
            document = {"metadata": {"name": name}, "data": {"value": "x" * 1000}}
            api.call("POST", PATH, document)
            patch = {"data": {"more": str(number)}}
            api.call("PATCH", f"{PATH}/{name}", patch, "application/merge-patch+json")
            expected += [("ADDED", name), ("MODIFIED", name)]
            living.add(name)
            if number % 3:
                api.call("DELETE", f"{PATH}/{name}")
                expected.append(("DELETED", name))
                living.remove(name)
            if number % 20 == 0:
                assert names_of(api.call("GET", PATH)) == sorted(living)
                page = api.call("GET", f"{PATH}?limit=5")
                assert len(page["items"]) == 5
                assert page["metadata"]["continue"]
        api.call("POST", PATH, {"metadata": {"name": "end"}})
        watcher.join(30)
        assert [(kind, name) for kind, name, _ in seen] == [*expected, ("ADDED", "end")]
        revisions = [revision for *_, revision in seen]
        assert revisions == sorted(set(revisions))
        assert number > SECONDS
        assert api.complaints() == []
