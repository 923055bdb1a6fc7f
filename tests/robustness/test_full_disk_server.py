"""The whole server on a disk that is full: reads, lists and watches go on, writes are refused, and it recovers by itself [271]."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import yaml


@pytest.fixture
def disk(tmp_path):
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "k3py-test", folder], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def server(disk, tmp_path):
    (tmp_path / "config.yaml").touch()
    kubeconfig = tmp_path / "kubeconfig"
    port = 20000 + os.getpid() % 20000
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "k3py", "server", "--disable-agent", "--bind-address=127.0.0.1",
                f"--https-listen-port={port}", f"--data-dir={disk}/data", f"--write-kubeconfig={kubeconfig}",
                f"--config={tmp_path}/config.yaml",
            ],
            stdout=out, stderr=out,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 40
        while not kubeconfig.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Api(kubeconfig, tmp_path), process, log
    finally:
        process.terminate()
        process.wait(30)


class Api:
    def __init__(self, kubeconfig, folder):
        import base64

        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        for name, data in (
            ("ca", cluster["certificate-authority-data"]),
            ("crt", user["client-certificate-data"]),
            ("key", user["client-key-data"]),
        ):
            (folder / name).write_bytes(base64.b64decode(data))
        self._url = cluster["server"]
        self._tls = ssl.create_default_context(cafile=folder / "ca")
        self._tls.load_cert_chain(folder / "crt", folder / "key")

    def open(self, path, body=None, method=None, timeout=10):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"}, method=method
        )
        return urllib.request.urlopen(request, context=self._tls, timeout=timeout)

    def call(self, path, body=None, method=None):
        try:
            with self.open(path, body, method) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text.startswith(b"{") else text
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


def config_map(name, size):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * size}}


@pytest.mark.timeout(120)
def test_a_full_disk_is_read_only_and_space_heals_it(server, disk):
    api, process, log = server
    path = "/api/v1/namespaces/default/configmaps"
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (6 << 20))
    start = api.call(path)[1]["metadata"]["resourceVersion"]
    watch = api.open(f"{path}?watch=true&resourceVersion={start}&timeoutSeconds=100", timeout=20)
    made = 0
    while (answer := api.call(path, config_map(f"big-{made}", 500_000)))[0] == 201:
        made += 1
        assert made < 50
    for attempt in range(20):  # also to the last byte
        code, status = answer = api.call(path, config_map(f"more-{attempt}", 500_000))
        assert (code, status["kind"], status["reason"]) == (507, "Status", "InsufficientStorage"), answer
        assert "the datastore is full: no space left for the database" in status["message"]
    code, found = api.call(path)
    assert code == 200
    assert sum(one["metadata"]["name"].startswith("big-") for one in found["items"]) == made
    assert api.call(f"{path}/big-0")[0] == 200
    assert api.call("/readyz")[0] == 200
    assert process.poll() is None
    ballast.unlink()
    assert api.call(path, config_map("after", 500_000))[0] == 201
    names = []
    while "after" not in names:
        names.append(json.loads(watch.readline())["object"]["metadata"]["name"])
    watch.close()
    assert [name for name in names if name.startswith("big-")] == [f"big-{number}" for number in range(made)]
    text = log.read_text()
    assert text.count("writes are refused until there is") == 1
    assert text.count("there is space for the database again") == 1
