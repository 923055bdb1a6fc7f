"""`python -m tests.support.api_server FOLDER [ENDPOINT]`: a whole API server over HTTPS until SIGTERM, without controllers and node.

Writes a throw-away PKI and the admin's kubeconfig into FOLDER and prints its URL once it answers.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from k3py.api.kinds import ALL
from k3py.api.registry import KindRegistry
from k3py.api.schema import load_schema
from k3py.apiserver.app import ApiServer
from k3py.apiserver.assembly import ApiOptions, build_dispatcher
from k3py.apiserver.health import HealthChecks
from k3py.datastore.factory import open_backend
from k3py.pki.service_account import ServiceAccountKeys, make_service_account_key
from k3py.server.listener import Listener, ServingCertificate
from k3py.storage.factory import open_storage
from k3py.util.metrics import Registry
from k3py.util.supervise import TaskScope
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf
from tests.support.throwaway_pki import make_pki

ISSUER = "https://kubernetes.default.svc.cluster.local"


async def serve(folder: Path, endpoint: str) -> None:
    """Serve until SIGTERM."""
    pki = make_pki(folder)
    keys = ServiceAccountKeys(make_service_account_key(), issuer=ISSUER)
    kinds, schemas = KindRegistry(ALL), load_schema()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with (
        open_backend(endpoint, data_dir=folder) as backend,
        open_storage(backend) as storage,
        TaskScope() as scope,
    ):
        assembly = await build_dispatcher(
            storage=storage,
            kinds=kinds,
            schemas=schemas,
            signer=keys,
            verifier=keys,
            options=ApiOptions(
                service_cidrs=("10.43.0.0/16",), advertise_address="192.0.2.1", audiences=(ISSUER,)
            ),
        )
        api = ApiServer(
            dispatcher=assembly.dispatcher,
            kinds=kinds,
            authenticator=assembly.authenticator,
            authorizer=assembly.authorizer,
            health=HealthChecks(),
            metrics=Registry(),
            server_address="192.0.2.1:6443",
            load_protobuf=lambda: KubernetesProtobuf(schemas.table),
            openid_configuration={"issuer": ISSUER},
            jwks=keys.jwks(),
        )
        listener = Listener(
            api.handle,
            drain=api.drain,
            host="127.0.0.1",
            port=0,
            tls=ServingCertificate(
                certificate=folder / "server.crt", key=folder / "server.key", client_ca=folder / "ca.crt"
            ),
        )
        for component in (assembly, listener):
            started = asyncio.Event()
            _ = scope.spawn(component.run(started.set), name=component.name)
            await started.wait()
        await assembly.bootstrap()
        url = f"https://127.0.0.1:{listener.port}"
        pki.write_kubeconfig(url)
        print(url, flush=True)
        await stopped.wait()
        scope.cancel()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "memory://"))
