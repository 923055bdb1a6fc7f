"""A server is killed (kill -9) while it re-encrypts, again and again: no Secret is lost, and it ends with one key and nothing readable.

K3PY_KILLS=50 for a longer run, K3PY_SEED to repeat one.
"""

from __future__ import annotations

import base64
import json
import os
import random
import ssl
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.support.server_process import ServerProcess

SECRETS = 400
KILLS = int(os.environ.get("K3PY_KILLS", "4"))
HIDDEN = base64.b64encode(b"a password that must not be found on the disk").decode()
BUSY = ("reencrypt_request", "reencrypt_active")


def api(server, method, path, body=None):
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(server.admin_cert, server.admin_key)
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return json.loads(answer.read())


def secrets_encrypt(server, *arguments):
    command = [sys.executable, "-m", "k3py", "secrets-encrypt", *arguments, "--server", server.url]
    command += ["--data-dir", str(server.folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(server):
    return json.loads(secrets_encrypt(server, "status", "-o", "json"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_while_it_reencrypts_nothing_is_lost(tmp_path):
    seed = int(os.environ.get("K3PY_SEED", str(random.randrange(1 << 30))))
    print(f"K3PY_SEED={seed}")
    randomly = random.Random(seed)
    path = "/api/v1/namespaces/default/secrets"
    with ServerProcess(tmp_path, "--secrets-encryption") as server:
        for number in range(SECRETS):
            api(server, "POST", path, {"metadata": {"name": f"s{number}"}, "data": {"k": HIDDEN}})
    for _ in range(KILLS):
        with ServerProcess(tmp_path, "--secrets-encryption") as server:
            if status(server)["stage"] not in BUSY:
                secrets_encrypt(server, "rotate-keys", "--no-wait")
            time.sleep(randomly.random() * 0.3)
            server.kill()
    with ServerProcess(tmp_path, "--secrets-encryption") as server:
        while (now := status(server))["stage"] in BUSY:
            assert "error" not in now
            time.sleep(0.2)
        secrets_encrypt(server, "rotate-keys")
        now = status(server)
        assert (now["stage"], now["inactivekeys"]) == ("reencrypt_finished", [])
        items = api(server, "GET", path)["items"]
        assert {one["metadata"]["name"] for one in items} >= {f"s{number}" for number in range(SECRETS)}
        assert all(one["data"]["k"] == HIDDEN for one in items if one["metadata"]["name"].startswith("s"))
    for file in (tmp_path / "data" / "server" / "db").iterdir():
        if file.is_file():
            assert HIDDEN.encode() not in file.read_bytes(), file.name
    assert (tmp_path / "data" / "server" / "cred" / "encryption-config.json").stat().st_mode & 0o777 == 0o600
