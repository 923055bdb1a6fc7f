"""`k3py support-bundle` against a running API server and a machine into which secrets were planted everywhere."""

from __future__ import annotations

import base64
import json
import secrets
import tarfile

import pytest

from k3py.api.resource import CONFIG_MAPS, EVENTS, PODS, SECRETS, SERVICE_ACCOUNTS
from k3py.cli.support_bundle import collect, write_bundle
from k3py.client.kubeconfig import load_kubeconfig
from tests.support.api_server import run_api_server
from tests.support.examined_machine import make_machine, write

pytestmark = pytest.mark.slow


class Plant:
    """Random secrets, and where they were put."""

    def __init__(self):
        self.planted = {}

    def seed(self, where):
        value = f"pl{secrets.token_hex(12)}nt"
        self.planted[where] = value
        return value


def plant_files(root, plant, known):
    """Files of a server as k3py lays them, and logs into which things slipped."""
    before = set(plant.planted)
    write(root, "/var/lib/k3py/server/token", f"K10{'ab' * 32}::server:{plant.seed('server token')}\n")
    write(root, "/var/lib/k3py/server/cred/encryption-config.json", json.dumps({"keys": [{"secret": plant.seed("encryption key")}]}))
    key = "\n".join(base64.b64encode(plant.seed(f"key line {n}").encode() * 2).decode()[:64] for n in range(3))
    write(root, "/var/lib/k3py/server/tls/server-ca.key", f"-----BEGIN EC PRIVATE KEY-----\n{key}\n-----END EC PRIVATE KEY-----\n")
    write(root, "/etc/k3py/node/password", plant.seed("node password"))
    write(root, "/etc/k3py/config.yaml", f"token: {plant.seed('configured token')}\nnode-name: roof\n")
    write(root, "/etc/k3py/k3py.env", f"K3PY_DATASTORE_ENDPOINT=mysql://u:{plant.seed('database')}@tcp(h:3306)/d\nAWS_SECRET_ACCESS_KEY={plant.seed('s3')}\n")
    line = "level=error msg=\"refused\" value={}\n"
    values = [value for where, value in plant.planted.items() if where not in before and "key line" not in where] + known
    log = "".join(line.format(value) for value in values)
    log += "".join(line.format(base64.b64encode(b"user:" + value.encode()).decode()) for value in values)
    log += f"GET /x Authorization: Bearer {plant.seed('bearer in the log')}\n"
    log += f"joining with eyJhbGciOiJSUzI1.{plant.seed('payload')}.{plant.seed('signature')}\n"
    log += f"password={plant.seed('password in the log')} user=root\n"
    write(root, "/var/log/k3py.log", log)
    write(root, "/var/lib/k3py/agent/containerd/containerd.log", log)
    for pid, value in enumerate((plant.planted["server token"], plant.seed("argument")), start=100):
        write(root, f"/proc/{pid}/cmdline", f"program\0--token\0{value}\0--other=1\0")
    write(root, "/proc/200/cmdline", f"curl\0https://user:{plant.seed('address')}@example.com/\0")


async def plant_objects(client, plant):
    known = []
    for name in ("first", "second"):
        value = plant.seed(f"secret {name}")
        known.append(value)
        body = {"metadata": {"name": name}, "stringData": {"password": value, "file.conf": f"a = b\npw = {plant.seed('in a file ' + name)}\n"}}
        await client.create(SECRETS, body, namespace="default")
    await client.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"x": plant.seed("config map")}}, namespace="default")
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, namespace="default")
    environment = [{"name": "DB", "value": plant.seed("environment")}, {"name": "FROM", "value": known[0]}]
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"env": plant.seed("annotation")})}
    container = {"name": "c", "image": "x", "env": environment, "command": ["run", f"--password={plant.seed('command')}", known[1]]}
    header = {"name": "Authorization", "value": plant.seed("header")}
    container["livenessProbe"] = {"httpGet": {"port": 80, "httpHeaders": [header]}}
    pod = {"metadata": {"name": "p", "annotations": applied}, "spec": {"containers": [container]}}
    await client.create(PODS, pod, namespace="default")
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"namespace": "default", "kind": "Pod", "name": "p"},
        "message": f"cannot log in with {known[0]}",
        "reason": "Failed",
        "type": "Warning",
    }
    await client.create(EVENTS, event, namespace="default")
    return known


async def test_no_planted_secret_is_in_the_bundle_and_what_helps_is(tmp_path):
    root, plant = tmp_path / "root", Plant()
    machine = make_machine(root)
    async with run_api_server(tmp_path) as server:
        async with load_kubeconfig(server.kubeconfig).make_client(user_agent="test") as client:
            known = await plant_objects(client, plant)
        plant_files(root, plant, known)
        parts = await collect(machine, server.kubeconfig)
    target = tmp_path / "bundle.tar.gz"
    write_bundle(target, parts)
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as archive:
        found = {one.name.removeprefix("bundle/"): archive.extractfile(one).read().decode() for one in archive}
    assert len(plant.planted) > 20
    admin_key = load_kubeconfig(server.kubeconfig).key.decode()
    plant.planted |= {f"admin key {n}": line for n, line in enumerate(admin_key.splitlines()) if len(line) > 20 and "-" not in line}
    for where, value in plant.planted.items():
        for name, text in found.items():
            for form in (value, base64.b64encode(value.encode()).decode()[:-4]):
                assert form not in text, f"{where} shows in {name}"
    pods = json.loads(found["cluster/pods.json"])
    assert pods[0]["spec"]["containers"][0]["env"][0]["name"] == "DB"
    assert [one["metadata"]["name"] for one in json.loads(found["cluster/secrets.json"])] == ["first", "second"]
    assert json.loads(found["doctor.json"])[0]["check"] == "kernel"
    assert "level=error msg=\"refused\"" in found["logs/k3py.log"]
    assert "server/token" in found["files.txt"]
    assert "[+]" in found["cluster/readyz.txt"]
    assert json.loads(found["cluster/status.json"])["pods"] == {"Pending": 1}


async def test_without_a_server_the_rest_is_collected(tmp_path):
    parts = await collect(make_machine(tmp_path / "root"), tmp_path / "missing.yaml")
    assert parts["cluster/missing.txt"].startswith("the server was not asked: kubeconfig")
    assert "doctor.json" in parts
