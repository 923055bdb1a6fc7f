"""The kubelet's HTTPS server on port 10250. Source: pkg/kubelet/server/server.go v1.35."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

import orjson
from aiohttp import web

from k3py.api.status import ApiError
from k3py.api.timestamps import parse_time
from k3py.errors import ConfigError
from k3py.kubelet.pod import find_container
from k3py.kubelet.server.access import AccessControl
from k3py.kubelet.server.cadvisor_metrics import ContainerFacts, write_cadvisor_metrics
from k3py.kubelet.server.errors import RequestError
from k3py.kubelet.server.kubelet_metrics import write_kubelet_metrics, write_probe_metrics
from k3py.kubelet.server.log_options import parse_options
from k3py.kubelet.server.log_reader import read_log
from k3py.kubelet.server.port_forward import serve_channels, serve_tunnel
from k3py.kubelet.server.resource_metrics import write_resource_metrics
from k3py.kubelet.server.stats import summarize
from k3py.kubelet.server.streaming import connect_runtime
from k3py.kubelet.server.translator import serve_websocket
from k3py.kubelet.volumes.local_path import LocalPathError, make_folder, remove_folder
from k3py.kubelet.volumes.stats import all_volume_stats
from k3py.pki.tls import ignore_dates
from k3py.runtime.errors import RuntimeFailure, RuntimeNotFound
from k3py.util import clock
from k3py.util.upgrade import tunnel
from k3py.wire.remotecommand import PORT_FORWARD_TUNNEL, STREAM_VERSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.config import KubeletConfig
    from k3py.kubelet.node_context import NodeContext
    from k3py.kubelet.pod_worker import PodWorker
    from k3py.kubelet.pods import PodManager
    from k3py.kubelet.runtime_state import ContainerRecord

log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_IMAGE_FAILURES: Final = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")


class KubeletServer:
    """Answers requests about this node's pods.

    Args:
        node: what pods share.
        pods: the pods.
    """

    def __init__(self, node: NodeContext, pods: PodManager) -> None:
        self._node = node
        self._config: KubeletConfig = node.config
        self._pods = pods
        self._access = AccessControl(node.client, node.config.node_name)
        self._tls: ssl.SSLContext | None = None
        self.port = 0

    def reload_certificate(self) -> None:
        """Use the renewed certificate for new connections; an authority that is new is trusted besides the old one."""
        if self._tls is None or self._config.cert_file is None:
            return
        self._tls.load_cert_chain(self._config.cert_file, self._config.key_file)
        if self._config.client_ca_file is not None:
            self._tls.load_verify_locations(cafile=str(self._config.client_ca_file))

    async def run(self, listening: Callable[[int], None]) -> None:
        """Listen until cancelled; `listening` is called with the port.

        Raises:
            ConfigError: the port is taken.
        """
        self._tls = context = _tls(self._config)
        server = web.Server(
            self.handle, handler_cancellation=True, access_log=None, max_line_size=65536, max_field_size=65536
        )
        try:
            sockets = await asyncio.get_running_loop().create_server(
                server, self._config.address or None, self._config.port, ssl=context
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"port {self._config.port} is in use: another kubelet runs here") from error
            raise ConfigError(
                f"cannot listen on {self._config.address or '*'}:{self._config.port}: {error}"
            ) from error
        self.port = sockets.sockets[0].getsockname()[1]
        try:
            listening(self.port)
            await sockets.serve_forever()
        finally:
            sockets.close()
            await server.shutdown(1.0)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        try:
            _ = await self._access.check(request)
            return await self._route(request)
        except RequestError as error:
            return web.Response(status=error.status, text=f"{error}\n")
        except RuntimeNotFound as error:
            return web.Response(status=404, text=f"{error}\n")
        except (RuntimeFailure, ApiError) as error:
            return web.Response(status=500, text=f"{error}\n")

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = [unquote(one) for one in request.rel_url.raw_path.strip("/").split("/")]
        match parts:
            case ["containerLogs", namespace, pod, container]:
                return await self._logs(request, self._worker(namespace, pod), container)
            case ["exec" | "attach" | "run" as verb, namespace, pod, container]:
                return await self._stream(request, verb, self._worker(namespace, pod), container)
            case ["exec" | "attach" | "run" as verb, namespace, pod, uid, container]:
                return await self._stream(request, verb, self._worker(namespace, pod, uid), container)
            case ["portForward", namespace, pod]:
                return await self._port_forward(request, self._worker(namespace, pod))
            case ["portForward", namespace, pod, uid]:
                return await self._port_forward(request, self._worker(namespace, pod, uid))
            case ["healthz"] | ["healthz", "ping" | "syncloop" | "log"]:
                return web.Response(text="ok")
            case ["pods"] | ["runningpods"] | ["runningpods", ""]:
                return _json(self._pod_list(running=parts[0] == "runningpods"))
            case ["stats", "summary"]:
                return _json(await summarize(self._node, self._pods.list_pods()))
            case ["metrics", *rest] if (text := await self._metrics("/".join(rest))) is not None:
                return web.Response(text=text, content_type="text/plain")
            case ["localPath"] if request.method == "POST":
                return await _change_local_path(request)
            case ["configz"]:
                return _json({"kubeletconfig": self._configuration()})
        raise RequestError(404, "404 page not found")

    def _worker(self, namespace: str, name: str, uid: str = "") -> PodWorker:
        found = self._pods.find(namespace, name, uid)
        if found is None:
            raise RequestError(404, f"pod does not exist: {namespace}/{name}")
        return found

    # --- logs ---------------------------------------------------------------------------------------------------------

    async def _logs(self, request: web.BaseRequest, worker: PodWorker, container: str) -> web.StreamResponse:
        options = parse_options(request.rel_url.query, clock.wall_s())
        record = self._log_record(worker, container, previous=options.previous)
        if not record.log_path:
            raise RequestError(500, f"container {container} has no log")
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        response.enable_chunked_encoding()
        ended = worker.ended(record.id)
        pieces = read_log(Path(record.log_path), options, ended)
        try:
            await response.prepare(request)
            async for piece in pieces:
                await response.write(piece)
        except OSError as error:
            if not response.prepared:
                raise RequestError(500, f"log cannot be read: {error}") from error
            log.debug("log stream broke", extra={"error": str(error)})
        await response.write_eof()
        return response

    def _log_record(self, worker: PodWorker, name: str, *, previous: bool) -> ContainerRecord:
        pod = worker.pod["metadata"]["name"]
        if find_container(worker.pod, name) is None:
            raise RequestError(404, f'container "{name}" not found in pod "{pod}"')
        status = worker.container_status(name)
        state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
        if previous:
            if last is None:
                raise RequestError(400, f'previous terminated container "{name}" in pod "{pod}" not found')
            identity = last.get("containerID", "")
        elif waiting := state.get("waiting"):
            if last is None or waiting.get("reason") in _IMAGE_FAILURES:
                reason = waiting.get("reason", "")
                text = "trying and failing to pull image" if reason in _IMAGE_FAILURES[:2] else reason
                raise RequestError(400, f'container "{name}" in pod "{pod}" is waiting to start: {text}')
            identity = last.get("containerID", "")
        else:
            identity = status.get("containerID") or (state.get("terminated") or {}).get("containerID", "")
        identity = identity.rpartition("/")[2]
        found = next((one for one in worker.record.containers if one.id == identity), None)
        if found is None:
            raise RequestError(400, f'container "{name}" in pod "{pod}" has no log any more')
        return found

    # --- exec, attach, port-forward -----------------------------------------------------------------------------------

    async def _stream(
        self, request: web.BaseRequest, verb: str, worker: PodWorker, container: str
    ) -> web.StreamResponse:
        if find_container(worker.pod, container) is None:
            raise RequestError(404, f'container not found ("{container}")')
        record = worker.record.find(container)
        if record is None or not record.running:
            raise RequestError(404, f'container not found ("{container}")')
        pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
        options = dict(pairs)
        command = [value for key, value in pairs if key in ("command", "cmd")]
        if verb == "run":
            result = await self._node.runtime.exec_sync(record.id, " ".join(command).split(" "), timeout_s=0)
            return web.Response(body=result.stdout + result.stderr)
        tty = _flag(options, "tty")
        stdin = _flag(options, "input", "stdin")
        stdout = _flag(options, "output", "stdout")
        stderr = _flag(options, "error", "stderr") and not tty
        if not (stdin or stdout or stderr):
            raise RequestError(400, "you must specify at least 1 of stdin, stdout, stderr")
        if verb == "exec":
            url = await self._node.runtime.exec_url(
                record.id, command, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr
            )
        else:
            url = await self._node.runtime.attach_url(
                record.id, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr
            )
        if _is_websocket(request):
            return await serve_websocket(request, url, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
        return await self._tunnel(request, url)

    async def _port_forward(self, request: web.BaseRequest, worker: PodWorker) -> web.StreamResponse:
        sandbox = worker.record.sandbox
        if sandbox is None or not sandbox.ready:
            raise RequestError(404, "pod is not running")
        text = request.rel_url.query.get("port", "") or request.rel_url.query.get("ports", "")
        ports = [int(one) for one in text.split(",") if one.isdigit()]
        url = await self._node.runtime.port_forward_url(sandbox.id, ports)
        if not _is_websocket(request):
            return await self._tunnel(request, url)
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if PORT_FORWARD_TUNNEL in offered:
            return await serve_tunnel(request, url)
        if not ports:
            raise RequestError(400, 'query parameter "port" is required')
        return await serve_channels(request, url, ports)

    async def _tunnel(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "spdy/3.1":
            raise RequestError(400, "Upgrade request required")
        protocols = [
            one.strip()
            for value in request.headers.getall(STREAM_VERSION_HEADER, [])
            for one in value.split(",")
        ]
        runtime = await connect_runtime(url, protocols)
        return await tunnel(request, runtime.head, runtime.reader, runtime.writer)

    # --- facts --------------------------------------------------------------------------------------------------------

    def _pod_list(self, *, running: bool) -> JsonObject:
        pods: Sequence[JsonObject] = self._pods.list_pods()
        if running:
            pods = [one for one in pods if (one.get("status") or {}).get("phase") == "Running"]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": list(pods)}

    async def _metrics(self, which: str) -> str | None:
        """Return the text of /metrics and those below it, None for a path that is not known."""
        match which:
            case "":
                volumes = await all_volume_stats(self._node, self._pods.list_pods())
                return write_kubelet_metrics(self._node, self._pods.workers(), volumes)
            case "probes":
                return write_probe_metrics(self._pods.workers())
            case "resource":
                return write_resource_metrics(await summarize(self._node), self._started_s)
            case "cadvisor":
                summary = await summarize(self._node)
                return write_cadvisor_metrics(summary, self._find_facts, self._node.machine, clock.wall_s())
        return None

    def _started_s(self, pod_ref: JsonObject, container: str) -> float | None:
        """Return when a container began, seconds since the epoch; None = it does not run."""
        return self._find_facts(pod_ref, container).started_s

    def _find_facts(self, pod_ref: JsonObject, container: str) -> ContainerFacts:
        """Return what the status of a container says."""
        worker = self._pods.find(pod_ref["namespace"], pod_ref["name"], pod_ref["uid"])
        status = worker.container_status(container) if worker is not None else {}
        when = ((status.get("state") or {}).get("running") or {}).get("startedAt")
        return ContainerFacts(
            id=str(status.get("containerID") or "").rpartition("/")[2],
            image=str(status.get("image") or ""),
            started_s=parse_time(when).timestamp() if when else None,
        )

    def _configuration(self) -> JsonObject:
        config = self._config
        return {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "address": config.address or "::",
            "port": config.port,
            "clusterDomain": config.cluster_domain,
            "clusterDNS": [one for one in config.cluster_dns.split(",") if one],
            "maxPods": config.settings.max_pods,
            "cgroupDriver": "cgroupfs",
            "resolvConf": str(config.resolv_conf),
            "podLogsDir": str(config.pod_logs_dir),
        }


def _tls(config: KubeletConfig) -> ssl.SSLContext:
    if config.cert_file is None or config.key_file is None:
        raise ConfigError("the kubelet's server needs a certificate and a key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.cert_file, config.key_file)
    if config.client_ca_file is not None:
        context.load_verify_locations(cafile=str(config.client_ca_file))
        context.verify_mode = ssl.CERT_OPTIONAL
        ignore_dates(context)  # AccessControl looks at them
    return context


def _json(document: JsonObject) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type=_JSON)


def _is_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _flag(options: Mapping[str, str], *names: str) -> bool:
    return any(options.get(name, "").lower() in ("1", "true") for name in names)


async def _change_local_path(request: web.BaseRequest) -> web.Response:
    """Make or remove a folder of the local-path provisioner: {"action": "make" or "remove", "path": …}."""
    try:
        body = orjson.loads(await request.read())
        action, path = body["action"], body["path"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RequestError(400, f"body: must have action and path: {error}") from error
    if action not in ("make", "remove") or not isinstance(path, str):
        raise RequestError(400, "action: must be make or remove; path: must be a text")
    try:
        await asyncio.to_thread(make_folder if action == "make" else remove_folder, path)
    except LocalPathError as error:
        raise RequestError(422, str(error)) from error
    return web.Response(text="ok")
