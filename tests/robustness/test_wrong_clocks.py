"""One server lives through clocks that stand at 1970, go right, miss five years and jump to 2099, and a node joins and comes back each time.

The test moves the clock: the server's process reads it through k3py.util.clock alone, which is shifted there. OpenSSL's own clock is not;
that it is not asked between k3py's parts is tests/unit/pki/test_clocks.py's. Nobody repairs anything by hand.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
import urllib.error
import urllib.request

import pytest

from k3py.agent.errors import JoinRefused, ServerUnreachable
from k3py.agent.join import Joiner
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_for

CODE = """
import datetime, sys
from k3py.util import clock
shift = datetime.timedelta(seconds={shift_s})
now, wall_s = clock.now, clock.wall_s
clock.now = lambda: now() + shift
clock.wall_s = lambda: wall_s() + shift.total_seconds()
from k3py.cli.main import run
sys.exit(run(["k3py", *sys.argv[1:]]))
"""
CLOCKS = {"at 1970": 1970, "right": None, "five years later": 2031, "at 2099": 2099, "right again": None}


def program(year):
    now = dt.datetime.now(dt.UTC)
    wanted = now if year is None else dt.datetime(year, 6, 1, tzinfo=dt.UTC)
    return ("-c", CODE.format(shift_s=(wanted - now).total_seconds()))


def ask(server, method, path, *, certificate=None, body=None):
    """Ask as the administrator, or with a certificate and key; return the status."""
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(*(certificate or (server.admin_cert, server.admin_key)))
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


async def has_default_namespace(server):
    return ask(server, "GET", "/api/v1/namespaces/default") == 200


async def join(server, folder, token, password="of this machine"):
    joiner = Joiner(
        server=server.url, token=token, folder=folder, node_name="n1", node_ip="192.0.2.9", node_password=password
    )
    async with asyncio.timeout(60):
        while True:
            try:
                await joiner.join()
                break
            except ServerUnreachable:  # it is still starting
                await asyncio.sleep(0.1)
    return folder / "client-kubelet.crt", folder / "client-kubelet.key"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_server_and_a_node_come_up_whatever_the_clock_says(tmp_path):
    token, first = "", None
    for number, (name, year) in enumerate(CLOCKS.items()):
        with ServerProcess(tmp_path, "--node-name", "s1", program=program(year)) as server:
            if not token:
                token = (tmp_path / "data" / "server" / "node-token").read_text().strip()
            assert (tmp_path / "data" / "server" / "node-token").read_text().strip() == token, name
            body = {"metadata": {"name": f"m{number}"}}
            await wait_for(lambda server=server: has_default_namespace(server))
            assert ask(server, "POST", "/api/v1/namespaces/default/configmaps", body=body) == 201, name
            for folder in (tmp_path / "node", tmp_path / f"node-{number}"):  # one that comes back, one that is re-installed
                certificate = await join(server, folder, token)
                own = ask(server, "GET", "/api/v1/nodes/n1", certificate=certificate)
                assert own in (200, 404), name
            if first is None:
                assert ask(server, "POST", "/api/v1/nodes", body={"metadata": {"name": "n1"}}) == 201
                first = tuple(file.rename(file.with_name(f"first-{file.name}")) for file in certificate)
            # The key of its first day, signed at 1970, still names the node, and only that node.
            assert ask(server, "GET", "/api/v1/nodes/n1", certificate=first) == 200, name
            assert ask(server, "GET", "/api/v1/secrets", certificate=first) == 403, name
            with pytest.raises(JoinRefused):
                await join(server, tmp_path / "thief", token, password="of another machine")
    with ServerProcess(tmp_path, "--node-name", "s1") as server:
        assert ask(server, "DELETE", "/api/v1/nodes/n1") == 200
    with ServerProcess(tmp_path, "--node-name", "s1", program=program(2099)) as server:
        assert ask(server, "GET", "/api/v1/nodes/n1", certificate=first) == 401  # no node, and its time is over
