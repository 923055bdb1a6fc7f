"""All authorities are replaced, and whoever knew the old ones goes on: kubeconfig, node, token; until they are replaced by force."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from k3py.agent.errors import ServerUnreachable, WrongAuthority
from k3py.agent.join import Joiner
from tests.support.server_process import ServerProcess


def ask(server, ca, certificate):
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(*certificate)
    try:
        with urllib.request.urlopen(f"{server.url}/api/v1/namespaces/default", context=context, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


async def join(server, folder, token):
    settings = {"folder": folder, "node_name": "n1", "node_ip": "192.0.2.9", "node_password": "p"}
    async with asyncio.timeout(60):
        while True:
            try:
                return await Joiner(server=server.url, token=token, **settings).join()
            except ServerUnreachable:  # it is still starting
                await asyncio.sleep(0.1)


def rotate(folder, *arguments):
    command = [sys.executable, "-m", "k3py", "certificate", "rotate-ca", "--data-dir", str(folder / "data"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_nobody_notices_new_authorities_until_they_are_forced(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    admin = (old / "client-admin.crt", old / "client-admin.key")
    with ServerProcess(tmp_path) as server:
        for file in (server.ca, server.admin_cert, server.admin_key):
            shutil.copy2(file, old)
        token = (tmp_path / "data" / "server" / "node-token").read_text().strip()
        await join(server, tmp_path / "node", token)
        assert ask(server, old / "server-ca.crt", admin) == 200
    before = (old / "server-ca.crt").read_bytes()
    for _ in range(2):
        rotate(tmp_path)
        with ServerProcess(tmp_path) as server:
            assert server.ca.read_bytes() != before
            assert ask(server, old / "server-ca.crt", admin) == 200  # a kubeconfig of the first day
            assert ask(server, server.ca, (server.admin_cert, server.admin_key)) == 200
            await join(server, tmp_path / "node", token)
            await join(server, tmp_path / "another", token)
            own = (tmp_path / "node" / "client-kubelet.crt", tmp_path / "node" / "client-kubelet.key")
            assert ask(server, tmp_path / "node" / "server-ca.crt", own) == 403  # known, and no namespace is a node's
    rotate(tmp_path, "--force")
    with ServerProcess(tmp_path) as server:
        with pytest.raises((ssl.SSLError, urllib.error.URLError)):
            ask(server, old / "server-ca.crt", admin)
        with pytest.raises(WrongAuthority):
            await join(server, tmp_path / "node", token)
        new = (tmp_path / "data" / "server" / "node-token").read_text().strip()
        await join(server, tmp_path / "node", new)
