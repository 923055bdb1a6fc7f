"""What admission costs a write: nothing registered, a policy in force, a webhook asked. `python -m tests.benchmarks.bench_admission`

Creates ConfigMaps with 16 clients over HTTPS, in namespaces that nothing, a ValidatingAdmissionPolicy or a validating webhook (in a
process of its own, on loopback, answering at once) is about.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import ssl
import tempfile
from pathlib import Path

from aiohttp import web

from tests.benchmarks.bench_api import Bench, make_body
from tests.support.api_server_process import ApiServerProcess

GROUP = "/apis/admissionregistration.k8s.io/v1"
RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
CLIENTS, TOTAL = 16, 3000
EXPRESSION = "object.metadata.name != 'bad' && object.data.all(k, k.size() < 20) && request.userInfo.username != ''"


def serve_webhook(certificate: str, key: str, ready) -> None:
    """Answer yes, until terminated."""

    async def answer(request: web.Request) -> web.Response:
        review = json.loads(await request.read())
        response = {"uid": review["request"]["uid"], "allowed": True}
        return web.json_response({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        app = web.Application()
        app.router.add_post("/", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


def selected(namespace: str) -> dict:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def make_policy() -> list[tuple[str, dict]]:
    spec = {"matchConstraints": {"resourceRules": RULES}, "validations": [{"expression": EXPRESSION}]}
    binding = {"policyName": "bench", "validationActions": ["Deny"], "matchResources": selected("policy")}
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "bench"}}
    return [
        (f"{GROUP}/validatingadmissionpolicies", {**head, "kind": "ValidatingAdmissionPolicy", "spec": spec}),
        (f"{GROUP}/validatingadmissionpolicybindings", {**head, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding}),
    ]


def make_webhook(port: int, bundle: bytes) -> tuple[str, dict]:
    client = {"url": f"https://127.0.0.1:{port}/", "caBundle": base64.b64encode(bundle).decode()}
    hook = {"name": "bench.example.com", "clientConfig": client, "rules": RULES, "sideEffects": "None"}
    hook |= {"admissionReviewVersions": ["v1"], **selected("webhook")}
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "bench"}}
    return f"{GROUP}/validatingwebhookconfigurations", {**head, "webhooks": [hook]}


async def measure(bench: Bench, name: str, namespace: str) -> None:
    def create(n: int) -> tuple[str, str, bytes]:
        return "POST", f"/api/v1/namespaces/{namespace}/configmaps", make_body(f"{name.replace(' ', '-')}-{n}")

    await bench.measure(name, CLIENTS, create, TOTAL, 201)


async def run(server: ApiServerProcess, port: int) -> None:
    bench = Bench(server)
    (connection,) = await bench.connect(1)

    async def post(path: str, body: dict) -> None:
        status, answer = await connection.send("POST", path, json.dumps(body).encode())
        assert status == 201, answer

    for namespace in ("plain", "policy", "webhook"):
        await post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    await measure(bench, "nothing registered", "plain")
    for path, body in make_policy():
        await post(path, body)
    await post(*make_webhook(port, Path(server.ca).read_bytes()))
    await measure(bench, "elsewhere registered", "plain")
    await measure(bench, "a policy", "policy")
    await measure(bench, "a webhook", "webhook")
    connection.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ApiServerProcess(Path(folder)) as server:
        mine, theirs = multiprocessing.Pipe()
        files = (str(Path(folder, name)) for name in ("server.crt", "server.key"))
        webhook = multiprocessing.Process(target=serve_webhook, args=(*files, theirs), daemon=True)
        webhook.start()
        try:
            asyncio.run(run(server, mine.recv()))
        finally:
            webhook.terminate()
            webhook.join()


if __name__ == "__main__":
    main()
