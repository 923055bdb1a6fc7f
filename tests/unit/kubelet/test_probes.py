"""Probes tell a pod's worker what is started, ready and condemned."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.kubelet.handlers import HandlerFailed, Target, resolve_port
from k3py.kubelet.http_get import http_get
from k3py.kubelet.probes import Prober, run_probe
from k3py.kubelet.recording import PodRecorder
from k3py.runtime.interface import ExecResult
from k3py.util.supervise import TaskScope
from tests.support.kubelet import Events, bound_pod, container

FAST = {"periodSeconds": 0.01, "failureThreshold": 2}


class Execs:
    """A runtime whose commands end as told."""

    def __init__(self) -> None:
        self.code = 0

    async def exec_sync(self, container_id, command, *, timeout_s):
        return ExecResult(b"said", b"", self.code)


@asynccontextmanager
async def probing(**probes):
    one = container(**{kind: {"exec": {"command": ["x"]}, **FAST} for kind in probes if probes[kind]})
    runtime, events, woken = Execs(), Events(), asyncio.Event()
    async with TaskScope() as scope:
        prober = Prober(scope, woken.set)
        target = Target(runtime=runtime, container_id="id", container=one, pod_ip="127.0.0.1")

        async def until(condition):
            for _ in range(2000):
                if condition():
                    return
                await asyncio.sleep(0.001)
            raise AssertionError

        yield (
            prober,
            runtime,
            events,
            until,
            lambda **known: prober.watch(
                target,
                PodRecorder(events, bound_pod(containers=[one])),
                was_started=known.get("started", False),
                was_ready=known.get("ready", False),
            ),
        )
        scope.cancel()


async def test_without_probes_a_running_container_is_started_and_ready():
    async with probing() as (prober, _, _, _, watch):
        watch()
        assert prober.started == prober.ready == {"id"}


async def test_readiness_comes_with_success_and_goes_after_failures():
    async with probing(readinessProbe=True) as (prober, runtime, events, until, watch):
        watch()
        assert not prober.ready
        await until(lambda: prober.ready == {"id"})
        runtime.code = 1
        await until(lambda: not prober.ready)
        assert ("Unhealthy", "Readiness probe failed: said") in events.told
        assert not prober.verdicts


async def test_liveness_condemns_after_its_threshold():
    async with probing(livenessProbe=True) as (prober, runtime, events, until, watch):
        runtime.code = 1
        watch()
        await until(lambda: prober.verdicts == {"id": "liveness"})
        assert events.reasons == ["Unhealthy", "Unhealthy"]


async def test_startup_holds_the_others_back():
    async with probing(startupProbe=True, livenessProbe=True, readinessProbe=True) as (
        prober,
        _,
        _,
        until,
        watch,
    ):
        watch()
        assert not prober.started
        await until(lambda: prober.started and prober.ready)
    async with probing(startupProbe=True, livenessProbe=True) as (prober, runtime, _events, until, watch):
        runtime.code = 1
        watch()
        await until(lambda: prober.verdicts == {"id": "startup"})


async def test_an_adopted_container_stays_ready_until_a_probe_says_otherwise():
    async with probing(readinessProbe=True, startupProbe=True) as (prober, _, _, _, watch):
        watch(started=True, ready=True)
        assert prober.started == prober.ready == {"id"}


async def test_what_does_not_run_any_more_is_forgotten():
    async with probing(readinessProbe=True) as (prober, _, _, until, watch):
        watch()
        await until(lambda: prober.ready)
        prober.forget(set())
        assert not prober.ready
        assert not prober.started
        assert not prober.is_watched("id")


@asynccontextmanager
async def answering(*answers):
    """An HTTP server that gives these answers, one a connection."""
    left = list(answers)
    asked = []

    async def serve(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(left.pop(0).encode() + b"\r\n\r\nbody")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def test_http_probes_follow_redirects_on_the_same_host_only():
    async with answering("HTTP/1.1 302 Found\r\nLocation: /there", "HTTP/1.1 200 OK") as (port, asked):
        answer = await http_get(host="127.0.0.1", port=port, path="/", tls=False, timeout_s=2)
        assert answer.status == 200
        assert asked[1].startswith("GET /there HTTP/1.1\r\n")
        assert "User-Agent: kube-probe/" in asked[0]
    async with answering("HTTP/1.1 302 Found\r\nLocation: http://elsewhere/") as (port, _):
        assert (await http_get(host="127.0.0.1", port=port, path="/", tls=False, timeout_s=2)).status == 302


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("HTTP/1.1 204 No", True),
        ("HTTP/1.1 399 x", True),
        ("HTTP/1.1 400 x", False),
        ("HTTP/1.1 500 x", False),
    ],
)
async def test_http_statuses_below_400_are_success(line, good):
    async with answering(line) as (port, asked):
        target = Target(
            runtime=Execs(),
            container_id="id",
            container=container(ports=[{"name": "w", "containerPort": port}]),
            pod_ip="127.0.0.1",
        )
        probe = {"httpGet": {"port": "w", "path": "h", "httpHeaders": [{"name": "X-A", "value": "1"}]}}
        if good:
            await run_probe(probe, target)
        else:
            with pytest.raises(HandlerFailed, match="statuscode"):
                await run_probe(probe, target)
        assert "X-A: 1\r\n" in asked[0]
        assert asked[0].startswith("GET /h HTTP/1.1")


async def test_a_refused_connection_fails_a_tcp_probe():
    target = Target(runtime=Execs(), container_id="id", container=container(), pod_ip="127.0.0.1")
    with pytest.raises(HandlerFailed, match="connection refused"):
        await run_probe({"tcpSocket": {"port": 1}}, target)
    with pytest.raises(HandlerFailed, match="couldn't find port"):
        resolve_port("nope", container())
