"""What load balancers are told."""

import asyncio
import json
import socket

import pytest

from k3py.network.proxy.health_checks import HealthCheck, HealthChecks


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


async def test_ports_answer_how_many_endpoints_are_here():
    checks, port = HealthChecks(), free_port()
    try:
        await checks.apply({port: HealthCheck(("default", "web"), 2)})
        code, body = await ask(port)
        assert (code, body["localEndpoints"]) == (200, 2)
        assert body["service"] == {"namespace": "default", "name": "web"}
        await checks.apply({port: HealthCheck(("default", "web"), 0)})
        assert (await ask(port))[0] == 503
        await checks.apply({})
        with pytest.raises(ConnectionRefusedError):
            await ask(port)
    finally:
        checks.close()


async def test_a_port_that_is_taken_is_no_reason_to_fail(caplog):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        checks, port = HealthChecks(), taken.getsockname()[1]
        await checks.apply({port: HealthCheck(("default", "web"), 1)})
    assert f"port {port}" in caplog.text
    try:
        await checks.apply({port: HealthCheck(("default", "web"), 1)})
        assert (await ask(port))[0] == 200
    finally:
        checks.close()
