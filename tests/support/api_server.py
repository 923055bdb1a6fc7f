"""A whole API server over HTTPS without controllers, scheduler and node: `run_api_server(folder)`.

`python -m tests.support.api_server FOLDER [ENDPOINT]` runs it until SIGTERM: writes a throw-away PKI and the admin's kubeconfig into
FOLDER and prints its URL once it answers.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from k3py.api.kinds import ALL
from k3py.api.openapi.documents import OpenApiDocuments
from k3py.api.registry import KindRegistry
from k3py.api.schema import load_schema
from k3py.apiserver.app import ApiServer
from k3py.apiserver.assembly import ApiAssembly, ApiOptions, build_dispatcher
from k3py.apiserver.authn.request_header import describe_authentication
from k3py.apiserver.health import HealthChecks
from k3py.datastore.factory import open_backend
from k3py.pki.service_account import ServiceAccountKeys, make_service_account_key
from k3py.server.listener import Listener, ServingCertificate
from k3py.storage.factory import open_storage
from k3py.util.garbage import search_rarely, spare_started
from k3py.util.metrics import Registry, process_metrics
from k3py.util.process_stats import ProcessStats
from k3py.util.supervise import TaskScope
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf
from tests.support.throwaway_pki import ThrowawayPki, make_pki

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.apiserver.interface import KubeletConnector
    from k3py.util.supervise import Component

ISSUER = "https://kubernetes.default.svc"
ADVERTISED = "192.0.2.1"
FRONT_PROXY = "front-proxy-client"


@dataclass(frozen=True)
class RunningApiServer:
    """A server that runs: where, its parts, its PKI and the admin's kubeconfig."""

    url: str
    assembly: ApiAssembly
    kinds: KindRegistry
    pki: ThrowawayPki
    kubeconfig: Path


@asynccontextmanager
async def run_api_server(
    folder: Path, *, endpoint: str = "memory://", kubelet_connector: KubeletConnector | None = None
) -> AsyncIterator[RunningApiServer]:
    """Run until the block is left; files go into `folder`."""
    pki = make_pki(folder)
    keys = ServiceAccountKeys(make_service_account_key(), issuer=ISSUER)
    kinds, schemas = KindRegistry(ALL), load_schema()
    async with open_backend(endpoint, data_dir=folder) as backend, open_storage(backend) as storage:
        assembly = await build_dispatcher(
            storage=storage,
            kinds=kinds,
            schemas=schemas,
            signer=keys,
            verifier=keys,
            options=ApiOptions(
                advertise_address=ADVERTISED,
                audiences=(ISSUER,),
                front_proxy=pki.issue_front_proxy(FRONT_PROXY),
                client_ca=folder / "ca.crt",
                request_header_ca=folder / "front-proxy-ca.crt",
                front_proxy_names=(FRONT_PROXY,),
                extension_authentication=describe_authentication(
                    folder / "ca.crt", folder / "front-proxy-ca.crt", (FRONT_PROXY,)
                ),
            ),
        )
        health, metrics = HealthChecks(), Registry()
        health.add("etcd", lambda: "")
        metrics.add(*process_metrics(ProcessStats().read))
        api = ApiServer(
            dispatcher=assembly.dispatcher,
            kinds=kinds,
            authenticator=assembly.authenticator,
            authorizer=assembly.authorizer,
            flow_control=assembly.flow_control,
            health=health,
            metrics=metrics,
            server_address=f"{ADVERTISED}:6443",
            kubelet_connector=kubelet_connector,
            extensions=assembly.extensions,
            openapi_builder=OpenApiDocuments(schemas),
            load_protobuf=lambda: KubernetesProtobuf(schemas.table),
            openid_configuration={
                "issuer": ISSUER,
                "jwks_uri": f"https://{ADVERTISED}:6443/openid/v1/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            jwks=keys.jwks(),
        )
        tls = ServingCertificate(
            certificate=folder / "server.crt",
            key=folder / "server.key",
            client_ca=folder / "ca.crt",
            request_header_ca=folder / "front-proxy-ca.crt",
        )
        listener = Listener(api.handle, drain=api.drain, host="127.0.0.1", port=0, tls=tls)
        async with TaskScope() as scope:
            try:
                await _start(scope, assembly)
                await assembly.bootstrap()
                await _start(scope, listener)
                url = f"https://127.0.0.1:{listener.port}"
                yield RunningApiServer(url, assembly, kinds, pki, pki.write_kubeconfig(url))
            finally:
                scope.cancel()


async def _start(scope: TaskScope, component: Component) -> None:
    ready = asyncio.Event()
    _ = scope.spawn(component.run(ready.set), name=component.name)
    await ready.wait()


async def _serve(folder: Path, endpoint: str) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    search_rarely()
    async with run_api_server(folder, endpoint=endpoint) as server:
        spare_started()
        print(server.url, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "memory://"))
