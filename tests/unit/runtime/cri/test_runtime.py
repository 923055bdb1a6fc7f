"""CriRuntime against a gRPC server of our own: errors, requests, events and their losses."""

from __future__ import annotations

import asyncio

import pytest
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from k3py.runtime.cri import CriRuntime
from k3py.runtime.errors import (
    ImagePullFailed,
    RuntimeFailure,
    RuntimeNotFound,
    RuntimeTimeout,
    RuntimeUnavailable,
    RuntimeUnsupported,
)
from k3py.runtime.interface import RuntimeEvent
from k3py.wire.cri_protobuf import load_cri_messages

CODEC = load_cri_messages()


class Bytes(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class FakeCri:
    """Answers by method name: a document, a gRPC error, or an async generator function for a stream."""

    def __init__(self, **answers):
        self.answers = {"Version": {"runtime_name": "containerd", "runtime_version": "2.1.0"}} | answers
        self.asked = []

    def __mapping__(self):
        return {path: Handler(self._serve(path), self._cardinality(path), bytes, bytes) for path in CODEC._methods}

    @staticmethod
    def _cardinality(path):
        return Cardinality.UNARY_STREAM if CODEC.method(path).stream == "server" else Cardinality.UNARY_UNARY

    def _serve(self, path):
        method, name = CODEC.method(path), path.rsplit("/", 1)[1]

        async def serve(stream):
            request = CODEC.decode(method.request, await stream.recv_message())
            self.asked.append((name, request))
            answer = self.answers.get(name, GRPCError(Status.UNIMPLEMENTED, f"unknown method {name}"))
            if isinstance(answer, Exception):
                raise answer
            if callable(answer):
                async for document in answer(request):
                    await stream.send_message(CODEC.encode(method.response, document))
            else:
                await stream.send_message(CODEC.encode(method.response, answer))

        return serve


@pytest.fixture
async def serve(tmp_path):
    servers, runtimes = [], []

    async def start(**answers):
        fake = FakeCri(**answers)
        server = Server([fake], codec=Bytes())
        await server.start(path=str(tmp_path / "cri.sock"))
        servers.append(server)
        runtime = CriRuntime(tmp_path / "cri.sock")
        runtimes.append(runtime)
        return runtime, fake

    yield start
    for runtime in runtimes:
        runtime.close()
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.NOT_FOUND, RuntimeNotFound),
        (Status.DEADLINE_EXCEEDED, RuntimeTimeout),
        (Status.UNAVAILABLE, RuntimeUnavailable),
        (Status.UNIMPLEMENTED, RuntimeUnsupported),
        (Status.UNKNOWN, RuntimeFailure),
    ],
)
async def test_codes_become_conditions_with_the_runtimes_message(serve, status, kind):
    runtime, _ = await serve(ContainerStatus=GRPCError(status, "said so"))
    with pytest.raises(RuntimeFailure, match="said so") as caught:
        await runtime.container_status("x")
    assert type(caught.value) is kind


async def test_a_runtime_that_is_not_there_is_unavailable(tmp_path):
    runtime = CriRuntime(tmp_path / "none.sock")
    with pytest.raises(RuntimeUnavailable, match=r"none\.sock"):
        await runtime.version()


async def test_stopping_and_removing_what_is_not_there_is_done(serve):
    gone = GRPCError(Status.NOT_FOUND, "gone")
    runtime, _ = await serve(StopContainer=gone, RemoveContainer=gone, StopPodSandbox=gone, RemovePodSandbox=gone)
    await runtime.stop_container("x", timeout_s=1)
    await runtime.remove_container("x")
    await runtime.stop_pod_sandbox("x")
    await runtime.remove_pod_sandbox("x")


async def test_a_failed_pull_says_why(serve):
    runtime, _ = await serve(PullImage=GRPCError(Status.UNKNOWN, "no route to registry"))
    with pytest.raises(ImagePullFailed, match="no route"):
        await runtime.pull_image("x:1")


async def test_an_image_that_is_not_there_is_none(serve):
    runtime, _ = await serve(ImageStatus={})
    assert await runtime.image_status("x:1") is None


async def test_the_cgroup_driver_is_the_runtimes_or_unknown(serve):
    runtime, fake = await serve(RuntimeConfig={"linux": {"cgroup_driver": "CGROUPFS"}})
    assert await runtime.cgroup_driver() == "cgroupfs"
    fake.answers["RuntimeConfig"] = {"linux": {}}
    assert await runtime.cgroup_driver() == "systemd"
    del fake.answers["RuntimeConfig"]
    assert await runtime.cgroup_driver() == ""


async def test_exec_has_no_stderr_beside_a_terminal(serve):
    runtime, fake = await serve(Exec={"url": "http://u"})
    assert await runtime.exec_url("c", ["sh"], tty=True, stdin=True, stdout=True, stderr=True) == "http://u"
    assert fake.asked[-1][1]["stderr"] is False
    assert fake.asked[-1][1]["tty"] is True


async def take(events, number):
    async with asyncio.timeout(5):
        return [await anext(events) for _ in range(number)]


async def test_cri_events_are_told_with_the_pods_uid(serve):
    async def stream(_request):
        yield {
            "container_id": "c",
            "container_event_type": "CONTAINER_STOPPED_EVENT",
            "pod_sandbox_status": {"id": "s", "metadata": {"uid": "u"}},
        }
        await asyncio.Event().wait()

    runtime, _ = await serve(GetContainerEvents=stream)
    async with runtime.events() as events:
        assert await take(events, 2) == [RuntimeEvent("unknown"), RuntimeEvent("stopped", "c", "s", "u")]


async def test_a_lost_stream_is_followed_again_and_told(serve):
    async def stream(_request):
        return
        yield

    runtime, fake = await serve(GetContainerEvents=stream)
    async with runtime.events() as events:
        assert await take(events, 3) == [RuntimeEvent("unknown")] * 3
    assert sum(name == "GetContainerEvents" for name, _ in fake.asked) >= 3


class Containerd16:
    """containerd's own events: what is published comes back, after `lost` markers were lost."""

    def __init__(self, lost=0):
        self.queue = asyncio.Queue()
        self.lost = lost

    def put(self, topic, message, **event):
        value = CODEC.encode(f"containerd.events.{message}", event)
        self.queue.put_nowait({"topic": topic, "event": {"type_url": message, "value": value}})

    async def subscribe(self, _request):
        while True:
            yield await self.queue.get()

    async def publish(self, request):
        if self.lost:
            self.lost -= 1
        else:
            self.queue.put_nowait({"topic": request["topic"], "event": request["event"]})
        yield {}

    def answers(self, **more):
        version = {"runtime_name": "containerd", "runtime_version": "1.6.20~ds1"}
        return {"Version": version, "Subscribe": self.subscribe, "Publish": self.publish} | more


async def test_old_containerds_events_are_used_once_the_subscription_stands(serve):
    daemon = Containerd16(lost=2)
    states = ["CONTAINER_RUNNING", "CONTAINER_RUNNING", "CONTAINER_EXITED"]

    async def status(_request):
        yield {"status": {"state": states.pop(0)}}

    runtime, fake = await serve(
        **daemon.answers(
            CreateContainer={"container_id": "c"},
            ContainerStatus=status,
        )
    )
    await runtime.create_container("s", {}, {"metadata": {"uid": "u"}})
    async with runtime.events() as events:
        assert await take(events, 1) == [RuntimeEvent("unknown")]
        daemon.put("/tasks/start", "TaskStart", container_id="c")
        assert await take(events, 1) == [RuntimeEvent("started", "c", "s", "u")]
        daemon.put("/tasks/exit", "TaskExit", container_id="c", id="exec-1")  # of an exec: nobody's business
        daemon.put("/tasks/exit", "TaskExit", container_id="c", id="c")
        assert await take(events, 1) == [RuntimeEvent("stopped", "c", "s", "u")]
    assert states == []  # told only once CRI showed the end
    assert not any(name == "GetContainerEvents" for name, _ in fake.asked)


async def test_containers_of_an_earlier_k3py_are_looked_up(serve):
    daemon = Containerd16()
    container = {"id": "c", "pod_sandbox_id": "s", "labels": {"io.kubernetes.pod.uid": "u"}}
    runtime, _ = await serve(
        **daemon.answers(
            ListContainers={"containers": [container]},
            ListPodSandbox={},
            ContainerStatus=GRPCError(Status.NOT_FOUND, "gone"),
        )
    )
    async with runtime.events() as events:
        await take(events, 1)
        daemon.put("/tasks/exit", "TaskExit", container_id="c", id="c")
        assert await take(events, 1) == [RuntimeEvent("stopped", "c", "s", "u")]
