"""Thousands of malformed requests to a whole API server: never a 5xx, never a hang, never a half-written object.

A short slice runs with the other tests, the same each time. All of it, new each time:

    K3PY_FUZZ_EXAMPLES=5000 python -m pytest tests/integration/test_malformed_requests.py
"""

from __future__ import annotations

import os
import ssl
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from k3py.api.kinds import ALL
from k3py.api.schema import load_schema
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf
from tests.support import bad_input
from tests.support.api_server_process import ApiServerProcess
from tests.support.bad_input import Spoiler
from tests.support.raw_http import RawClient

EXAMPLES = int(os.environ.get("K3PY_FUZZ_EXAMPLES", "0"))
SCHEMAS = load_schema()
PROTOBUF = KubernetesProtobuf(SCHEMAS.table)
KINDS = [kind for kind in ALL if "create" in kind.verbs and bad_input.read_manifest(kind) is not None]
STORED = [kind for kind in KINDS if {"get", "update", "delete"} <= set(kind.verbs)]
# Their own controllers write to their status meanwhile.
CHANGED_BY_OTHERS = ("APIService", "CustomResourceDefinition", "FlowSchema")
NAMES = ("a", "b", "x.example.com")
# Answered by a node's kubelet, of which there is none.
STREAMED = ("exec", "attach", "portforward", "proxy", "log")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(max(120, EXAMPLES))]


def fuzz(share: float):
    """Settings for a test that gets `share` examples for each of the short run's 100."""
    return settings(
        max_examples=int((EXAMPLES or 100) * share),
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        print_blob=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


randoms = st.randoms(use_true_random=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ApiServerProcess(tmp_path_factory.mktemp("api")) as running:
        yield running
    log = running.log.read_text()
    assert "Traceback" not in log, log[-4000:]


@pytest.fixture(scope="module")
def client(server):
    tls = ssl.create_default_context(cafile=server.ca)
    tls.load_cert_chain(server.admin_cert, server.admin_key)
    made = RawClient(server.url, tls)
    yield made
    made.close()


@pytest.fixture(scope="module")
def stranger(server):
    """A client without a certificate."""
    made = RawClient(server.url, ssl.create_default_context(cafile=server.ca))
    yield made
    made.close()


def collection_of(kind):
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/default/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"


def check(answer, *sent):
    """The answer is one of a server that is well: no 5xx, errors are a Status that says the same as the status line."""
    shown = f"{answer.status} {answer.body[:1000]!r} to {sent!r:.3000}"
    if answer.status == 500 and "reason" not in answer.json():
        # Upstream's plain errors, which it gives no reason (values of wrong types in server-side apply, odd strategic patches, …).
        return answer
    if answer.status == 504 and answer.json()["reason"] == "Timeout" and "Too large resource version" in answer.json()["message"]:
        return answer
    assert 200 <= answer.status < 500, shown
    if answer.status >= 400 and answer.body and "json" in answer.headers.get("content-type", ""):
        status = answer.json()
        assert status.get("status") == "Failure", shown
        assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status), shown
        assert status["message"], shown
    return answer


def known_name(obj):
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and name else ""


def remove(client, path):
    """Delete an object and its finalizers."""
    answer = client.request("DELETE", f"{path}?gracePeriodSeconds=0")
    if path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
        client.request("PUT", f"{path}/finalize", client.request("GET", path).body.replace(b'"finalizers":["kubernetes"]', b'"finalizers":[]'))
    elif answer.status in (200, 202) and client.request("GET", path).status == 200:
        body = b'{"metadata":{"finalizers":null},"spec":{"finalizers":null}}'
        client.request("PATCH", path, body, [("Content-Type", "application/merge-patch+json")])
        client.request("DELETE", f"{path}?gracePeriodSeconds=0")


def make(client, kind, name="fuzzed"):
    """Create the example of a kind; returns its path and its bytes."""
    obj = {**bad_input.read_manifest(kind), "apiVersion": kind.api_version}
    if kind.kind not in ("CustomResourceDefinition", "IPAddress", "APIService") and kind.group != "storage.k8s.io":
        obj["metadata"]["name"] = name
    obj["metadata"].pop("namespace", None)
    if kind.kind == "Pod":
        client.request("POST", f"{collection_of(kind).replace('/pods', '/serviceaccounts')}", b'{"metadata":{"name":"default"}}')
    if kind.kind == "Service":
        for field in ("clusterIP", "clusterIPs"):
            obj["spec"].pop(field, None)
    path = f"{collection_of(kind)}/{obj['metadata']['name']}"
    text = bad_input.json.dumps(obj).encode()
    answer = client.request("POST", collection_of(kind), text)
    if answer.status == 409:
        remove(client, path)
        answer = client.request("POST", collection_of(kind), text)
    assert answer.status == 201, (kind.kind, answer)
    return path, client.request("GET", path).body


def essence(body):
    """What only its clients change of an object."""
    obj = bad_input.json.loads(body)
    if obj["kind"] in CHANGED_BY_OTHERS:
        obj.pop("status", None)
        for field in ("resourceVersion", "managedFields"):
            obj["metadata"].pop(field, None)
    return obj


def check_unchanged_or_whole(client, path, before, answer, *sent):
    """A refused write has changed nothing; of an accepted one, what was answered lies there and can be written back."""
    after = client.request("GET", path)
    if answer.status >= 400:
        assert after.body == before or essence(after.body) == essence(before), (path, sent)
        return
    if after.status == 404:
        return  # the write took the last finalizer, or was a deletion
    check(after, path, sent)
    again = client.request("PUT", path, after.body)
    while again.status == 409:  # a controller was faster
        after = client.request("GET", path)
        again = client.request("PUT", path, after.body)
    assert again.status == 200, f"{again.status} {again.body!r:.1500} when {after.body!r:.3000} is written back, after {sent!r:.3000}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.api_version}-{kind.kind}")
def test_creates(client, kind):
    @fuzz(0.3)
    @given(random=randoms)
    def run(random):
        spoiler = Spoiler(random, SCHEMAS)
        example = bad_input.read_manifest(kind)
        obj = spoiler.of_type(kind.schema) if random.random() < 0.2 else spoiler.spoil(example, kind.schema)
        if isinstance(obj, dict) and random.random() < 0.7:
            obj.update({"apiVersion": kind.api_version, "kind": kind.kind})
        body = spoiler.body_text(obj)
        query = random.choice(("", "", "?fieldValidation=Strict", "?dryRun=All", "?fieldValidation=Ignore"))
        content_type = random.choice(("application/json", "application/json", "application/json", "application/yaml"))
        path = collection_of(kind)
        answer = check(client.request("POST", path + query, body, [("Content-Type", content_type)]), path, query, content_type, body)
        if kind not in STORED:
            return
        if answer.status >= 400:
            name = known_name(obj)
            if answer.status != 409 and name == "fuzzed":
                assert client.request("GET", f"{path}/{quote(name, safe='')}").status == 404
            return
        if query == "?dryRun=All":
            return
        made = f"{path}/{quote(answer.json()['metadata']['name'], safe='')}"
        try:
            check_unchanged_or_whole(client, made, b"", answer, body)
        finally:
            remove(client, made)

    run()


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: f"{kind.api_version}-{kind.kind}")
def test_updates_and_patches(client, kind):
    @fuzz(0.3)
    @given(random=randoms)
    def run(random):
        path, before = make(client, kind)
        spoiler = Spoiler(random, SCHEMAS)
        obj = essence(before)
        target = path
        if random.random() < 0.25:
            target += random.choice(("/status", "/scale", "/resize", "/ephemeralcontainers", "/eviction", "/binding", "/approval", "/finalize", "/nope"))
        query = random.choice(("", "", "?fieldManager=f", "?fieldManager=f&force=true", "?fieldValidation=Strict", "?dryRun=All"))
        form = random.choice(("put", "json", "merge", "strategic", "apply"))
        if form == "put":
            if random.random() < 0.8 and isinstance(obj["metadata"], dict):
                obj["metadata"].pop("resourceVersion", None)
            method, content_type, body = "PUT", "application/json", spoiler.spoil(obj, kind.schema)
        else:
            method = "PATCH"
            content_type = {
                "json": "application/json-patch+json", "merge": "application/merge-patch+json",
                "strategic": "application/strategic-merge-patch+json", "apply": "application/apply-patch+yaml",
            }[form]  # fmt: skip
            obj["metadata"].pop("managedFields", None)
            if form == "json":
                body = spoiler.json_patch(obj)
            elif form == "apply":
                obj["metadata"] = {"name": obj["metadata"]["name"]}
                obj = obj if random.random() < 0.7 else bad_input.read_manifest(kind)
                body = spoiler.spoil(obj, kind.schema)
                query = query if "fieldManager" in query or random.random() < 0.1 else "?fieldManager=f"
            else:
                body = spoiler.merge_patch(obj, kind.schema)
        text = spoiler.body_text(body)
        sent = (method, target + query, content_type, text)
        answer = client.request(method, target + query, text, [("Content-Type", content_type)])
        try:
            check(answer, *sent)
            if target == path or answer.status >= 400:
                check_unchanged_or_whole(client, path, before, answer, *sent)
        finally:
            remove(client, path)

    run()


@fuzz(4)
@given(random=randoms)
def test_protobuf(client, random):
    kind = random.choice(STORED)
    obj = bad_input.read_manifest(kind)
    obj.update({"apiVersion": kind.api_version, "kind": kind.kind})
    obj["metadata"]["name"] = "fuzzed-protobuf"
    try:
        body = bytearray(PROTOBUF.encode_object(obj))
    except KeyError:
        body = bytearray(b"k8s\0" + bytes(random.randrange(256) for _ in range(50)))
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(body))
        damage = random.random()
        if damage < 0.6:
            body[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif damage < 0.8:
            del body[at : at + random.choice((1, 2, 10, 10000))]
        else:
            body[at:at] = random.choice((b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02" * 300, b"\x0b", b"\x00"))
        if not body:
            break
    path = collection_of(kind)
    answer = client.request("POST", path, bytes(body), [("Content-Type", "application/vnd.kubernetes.protobuf")])
    check(answer, path, bytes(body))
    if answer.status == 201:
        made = f"{path}/{quote(answer.json()['metadata']['name'], safe='')}"
        try:
            check_unchanged_or_whole(client, made, b"", answer, bytes(body))
        finally:
            remove(client, made)


@fuzz(5)
@given(random=randoms)
def test_queries(client, random):
    kind = random.choice(STORED)
    names = [random.choice(bad_input.QUERY_NAMES) for _ in range(random.choice((1, 1, 2, 3)))]
    pairs = [(name, random.choice(bad_input.SELECTORS if "Selector" in name else bad_input.QUERY_VALUES)) for name in names]
    shown = "&".join(f"{quote(name)}={quote(value)}" if random.random() < 0.95 else f"{name}" for name, value in pairs)
    shown += "&timeoutSeconds=0" if "watch" not in names else "&timeoutSeconds=1"
    path = collection_of(kind) + random.choice(("", "", "/nothing"))
    method = random.choice(("GET", "GET", "GET", "DELETE", "PATCH", "POST", "PUT"))
    if method == "DELETE" and kind.group == "rbac.authorization.k8s.io":
        method = "GET"  # this client needs what lies there
    if len(shown) > 60000:
        shown = shown[:60000]
    answer = client.request(method, f"{path}?{shown}", b"{}" if method in ("PATCH", "POST", "PUT") else b"")
    check(answer, method, path, shown)


@fuzz(5)
@given(random=randoms)
def test_headers_and_content_types(client, stranger, random):
    kind = random.choice(STORED)
    headers = [random.choice(bad_input.HEADERS) for _ in range(random.choice((1, 1, 2, 3)))]
    # A wrong token costs its sender a second.
    headers = [one for one in headers if one[0] != "Authorization" or random.random() < 0.1]
    method = random.choice(("GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "NOPE", "get"))
    body = b""
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        headers.append(("Content-Type", random.choice(bad_input.CONTENT_TYPES)))
        body = random.choice((b"{}", b"", b"[]", b"\x1f\x8b\x08\x00junk", b"k8s\0", b"a: b", b'{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":1}}'))
    path = collection_of(kind) + random.choice(("", "/nothing", "/nothing"))
    if method in ("DELETE", "HEAD"):
        path = collection_of(kind) + "/nothing"
    sender = random.choice((client, client, stranger))
    answer = sender.request(method, path, body, headers)
    if answer.status in (0, 101):
        # Nothing that HTTP's grammar lets pass may be answered by hanging up.
        assert any(name in ("Transfer-Encoding", "Content-Length", "Host", "Upgrade", "Expect") for name, _ in headers), (method, path, headers)
        return
    if answer.status != 400 or "json" in answer.headers.get("content-type", ""):
        check(answer, method, path, headers, body)


@fuzz(5)
@given(random=randoms)
def test_paths(client, stranger, random):
    segments = [random.choice(bad_input.SEGMENTS) for _ in range(random.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 12)))]
    start = random.choice(("/", "/api/v1/", "/apis/apps/v1/", "/api/v1/namespaces/default/", "/apis/", "//", "/openapi/v3/", "/api/v1/nodes/x/proxy/"))
    path = start + "/".join(segments)
    method = random.choice(("GET", "GET", "GET", "POST", "PUT", "PATCH", "HEAD", "OPTIONS"))
    sender = random.choice((client, client, stranger))
    answer = sender.request(method, path + "?timeoutSeconds=1", b"{}" if method in ("POST", "PUT", "PATCH") else b"")
    if answer.status == 503 and any(one in STREAMED for one in path.split("/")):
        return
    check(answer, method, path)


RAW = (
    b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    b"GET / HTTP/1.1\r\n: x\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"b" * 200_000 + b"\r\n\r\n", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % n for n in range(2000)) + b"\r\n", b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"GET http://x/api HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /api\x00 HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
)  # fmt: skip


@pytest.mark.parametrize("data", RAW, ids=range(len(RAW)))
def test_what_is_not_http(client, stranger, data):
    """It is refused or hung up on, and the server goes on serving others."""
    answer = stranger.send(data)
    stranger.close()
    assert answer.status < 500, answer
    check(client.request("GET", "/readyz"))
