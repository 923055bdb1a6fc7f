"""The HTTP face over a real socket, with an in-memory Dispatcher behind it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json

import aiohttp
import pytest

from k3py.api.flow_control import fixed_schema_spec
from k3py.api.status import ApiError
from k3py.apiserver.flow_control.flow_control import FlowControl
from k3py.storage.errors import RevisionExpired
from tests.support.http_face import run_http_face

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def create(face, name: str, **data: str) -> None:
    async with face.session.post(MAPS, json=config_map(name, **data)) as answer:
        assert answer.status == 201, await answer.text()


@pytest.fixture
async def face():
    async with run_http_face() as running:
        yield running


async def test_create_get_and_delete(face):
    await create(face, "a", k="v")
    async with face.session.get(f"{MAPS}/a") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-cache, private"
        assert (await answer.json())["data"] == {"k": "v"}
    async with face.session.delete(f"{MAPS}/a") as answer:
        assert (await answer.json())["status"] == "Success"
    async with face.session.get(f"{MAPS}/a") as answer:
        assert answer.status == 404
        assert (await answer.json())["reason"] == "NotFound"


async def test_list_is_spliced_without_types_of_built_in_items(face):
    await create(face, "a")
    await create(face, "b")
    async with face.session.get("/api/v1/configmaps") as answer:
        body = await answer.json()
    assert body["kind"] == "ConfigMapList"
    assert [item["metadata"]["name"] for item in body["items"]] == ["a", "b"]
    assert "kind" not in body["items"][0]
    assert body["metadata"] == {"resourceVersion": "2"}


async def test_items_of_custom_kinds_keep_their_type(face):
    path = "/apis/example.com/v1/namespaces/default/things"
    async with face.session.post(path, json={"metadata": {"name": "t"}}) as answer:
        assert answer.status == 201
    async with face.session.get(path) as answer:
        assert (await answer.json())["items"][0]["kind"] == "Thing"


async def test_empty_list_has_an_empty_array(face):
    async with face.session.get(MAPS) as answer:
        assert (await answer.json())["items"] == []


async def test_pretty_is_indented(face):
    await create(face, "a")
    async with face.session.get(f"{MAPS}/a", params={"pretty": "true"}) as answer:
        assert (await answer.text()).startswith('{\n  "kind"')


async def test_table_and_metadata_views(face):
    await create(face, "a", k="v")
    async with face.session.get(MAPS, headers={"Accept": f"{TABLE},application/json"}) as answer:
        table = await answer.json()
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"] == ["a", 1]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    async with face.session.get(MAPS, params={"includeObject": "None"}, headers={"Accept": TABLE}) as answer:
        assert (await answer.json())["rows"][0]["object"] is None
    view = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    async with face.session.get(MAPS, headers={"Accept": view}) as answer:
        body = await answer.json()
    assert body["items"][0].keys() == {"kind", "apiVersion", "metadata"}


async def test_unacceptable_is_406_and_unknown_body_type_415(face):
    async with face.session.get(MAPS, headers={"Accept": "application/cbor"}) as answer:
        assert answer.status == 406
        assert (await answer.json())["reason"] == "NotAcceptable"
    async with face.session.post(MAPS, data="x", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415


async def test_yaml_in_and_out(face):
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}
    text = "metadata: {name: y}\ndata: {on: '1', date: 2020-01-01}\n"
    async with face.session.post(MAPS, data=text, headers=headers) as answer:
        assert answer.status == 201
        assert answer.headers["Content-Type"] == "application/yaml"
        assert "name: y" in await answer.text()
    assert face.dispatcher.requests[-1].body["data"] == {"true": "1", "date": "2020-01-01"}


async def test_repeated_keys_of_an_apply_are_told_by_their_lines(face):
    headers = {"Content-Type": "application/apply-patch+yaml"}
    for text, told in (("data:\n  a: '1'\n  a: '2'\n", ['line 3: key "a" already set in map']), ("data: {a: '1'}", [])):
        async with face.session.patch(f"{MAPS}/y", data=text, headers=headers):
            assert list(face.dispatcher.requests[-1].repeated_keys) == told


async def test_repeated_keys_of_yaml_reach_the_dispatcher(face):
    headers = {"Content-Type": "application/yaml"}
    text = "metadata: {name: y}\ndata:\n  a: '1'\n  a: '2'\n"
    async with face.session.post(MAPS, data=text, headers=headers) as answer:
        assert answer.status == 201
    request = face.dispatcher.requests[-1]
    assert request.body["data"] == {"a": "2"}
    assert request.raw_body == b'{"metadata":{"name":"y"},"data":{"a":"1","a":"2"}}'


async def test_too_big_body_is_413(face):
    body = b'{"data":"' + b"x" * (3 * 1024 * 1024) + b'"}'
    async with face.session.post(MAPS, data=io.BytesIO(body)) as answer:
        assert answer.status == 413
    async with face.session.get(MAPS) as answer:
        assert answer.status == 200


async def test_a_packed_request_body_is_not_unpacked_as_upstream_does_not(face):
    body = gzip.compress(json.dumps(config_map("z")).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with face.session.post(MAPS, data=body, headers=headers) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip", "gzip"), ("gzip;q=0.5", None), ("br", None)])
async def test_big_answers_are_compressed(face, accepted, encoding):
    await create(face, "big", k="x" * 200_000)
    async with face.session.get(f"{MAPS}/big", headers={"Accept-Encoding": accepted}) as answer:
        assert answer.headers.get("Content-Encoding") == encoding
        assert len((await answer.json())["data"]["k"]) == 200_000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/namespaces/default/nothings", 404),
        ("GET", "/apis/nowhere.example.com/v1/things", 404),
        ("GET", "/apis/example.com/v9/things", 404),
        ("GET", f"{MAPS}/a/status", 404),
        ("GET", f"{MAPS}/a/b/c", 404),
        ("POST", f"{MAPS}/a", 405),
        ("PUT", MAPS, 405),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("HEAD", MAPS, 405),
        ("OPTIONS", MAPS, 405),
        ("HEAD", "/version", 405),
        ("HEAD", "/healthz", 200),
        ("POST", "/api", 405),
        ("GET", f"{MAPS}/", 200),
        ("GET", "/api/v1//namespaces", 404),
        ("GET", "/version/", 200),
        ("GET", "/apis/example.com/", 200),
        ("GET", "/nowhere", 404),
    ],
)
async def test_paths_and_methods(face, method, path, status):
    async with face.session.request(method, path) as answer:
        assert answer.status == status


async def test_unknown_group_is_plain_text(face):
    async with face.session.get("/apis/nowhere.example.com/v1/things") as answer:
        assert await answer.text() == "404 page not found\n"


async def test_audit_id_is_echoed(face):
    async with face.session.get("/version", headers={"Audit-Id": "mine"}) as answer:
        assert answer.headers["Audit-Id"] == "mine"


async def test_warnings_are_quoted(face):
    original = face.dispatcher.dispatch

    async def dispatch(request):
        request.warnings.append('unknown field "spec.x"')
        return await original(request)

    face.dispatcher.dispatch = dispatch
    async with face.session.post(MAPS, json=config_map("a")) as answer:
        assert answer.headers["Warning"] == '299 - "unknown field \\"spec.x\\""'


async def test_unexpected_exceptions_are_500_without_their_text(face):
    face.dispatcher.error = RuntimeError("secret")
    async with face.session.get(MAPS) as answer:
        assert answer.status == 500
        assert "secret" not in await answer.text()


async def test_retry_after_is_a_header_too(face):
    face.dispatcher.error = ApiError(429, "TooManyRequests", "later", retry_after_s=7)
    async with face.session.get(MAPS) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "7"
        assert (await answer.json())["details"]["retryAfterSeconds"] == 7


async def test_anonymous_may_see_what_is_allowed_and_bad_tokens_are_401(face):
    face.authorizer.allowed.add(("get", "/version"))
    for headers, path, status in (
        ({"Authorization": ""}, "/version", 200),
        ({"Authorization": "Basic x"}, "/version", 200),
        ({"Authorization": "Bearer  bad"}, "/version", 200),
        ({"Authorization": "bearer good"}, "/metrics/slis", 200),
        ({"Authorization": ""}, "/metrics", 403),
        ({"Authorization": ""}, "/healthz", 200),
        ({"Authorization": "Bearer bad"}, "/healthz", 401),
    ):
        async with face.session.get(path, headers=headers) as answer:
            assert answer.status == status


async def test_who_may_not_ask_learns_nothing_about_unknown_paths(face):
    headers = {"Authorization": "Bearer plain"}
    async with face.session.get("/api/v1/nothings", headers=headers) as answer:
        assert answer.status == 403


async def test_impersonation(face):
    headers = {"Impersonate-User": "system:serviceaccount:ns:sa", "Impersonate-Extra-a%2Fb": "c"}
    async with face.session.get(MAPS, headers=headers) as answer:
        assert answer.status == 200
    user = face.dispatcher.requests[-1].user
    assert user.name == "system:serviceaccount:ns:sa"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert user.extra == {"a/b": ("c",)}
    async with face.session.get(MAPS, headers={"Impersonate-User": "system:serviceaccount:UP:sa"}) as answer:
        assert answer.status == 200
    assert face.dispatcher.requests[-1].user.groups == ("system:authenticated",)
    async with face.session.get(MAPS, headers={"Impersonate-Group": "g"}) as answer:
        assert answer.status == 400
    headers = {"Impersonate-User": "alice", "Authorization": "Bearer plain"}
    async with face.session.get(MAPS, headers=headers) as answer:
        assert answer.status == 403
        assert 'users "alice" is forbidden' in (await answer.json())["message"]


async def test_who_comes_too_often_is_told_so_in_text():
    async with run_http_face(flow_control=FlowControl(most_reading=0, most_mutating=0)) as face:
        headers = {"Authorization": "Bearer plain"}
        async with face.session.post(MAPS, json=config_map("a"), headers=headers) as answer:
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "1"
            assert await answer.text() == "Too many requests, please try again later.\n"
        await create(face, "a")  # system:masters are exempt


async def test_answers_name_the_flow_schema_and_the_priority_level():
    flows = FlowControl()
    flows.handle_schema(("", "exempt"), {"metadata": {"name": "exempt", "uid": "u1"}, "spec": fixed_schema_spec("exempt")})
    flows.handle_level(("", "exempt"), {"metadata": {"name": "exempt", "uid": "u2"}, "spec": {"type": "Exempt"}})
    async with run_http_face(flow_control=flows) as face:
        for path in (MAPS, "/api/v1/namespaces/default/nothings", f"{MAPS}?watch=1&timeoutSeconds=1"):
            async with face.session.get(path) as answer:
                assert answer.headers["X-Kubernetes-PF-FlowSchema-UID"] == "u1"
                assert answer.headers["X-Kubernetes-PF-PriorityLevel-UID"] == "u2"
        assert flows.reading == 0


async def test_discovery(face):
    async with face.session.get("/api/v1") as answer:
        names = [one["name"] for one in (await answer.json())["resources"]]
    assert names == [
        "configmaps",
        "namespaces",
        "namespaces/finalize",
        "pods",
        "pods/exec",
        "pods/log",
        "pods/proxy",
    ]
    async with face.session.get("/apis") as answer:
        assert [group["name"] for group in (await answer.json())["groups"]] == ["example.com"]
    aggregated = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json"
    async with face.session.get("/apis", headers={"Accept": aggregated}) as answer:
        assert answer.headers["Content-Type"].endswith("as=APIGroupDiscoveryList")
        tag = answer.headers["ETag"]
        assert (await answer.json())["items"][0]["versions"][0]["resources"][0]["scope"] == "Namespaced"
    async with face.session.get("/apis", headers={"Accept": aggregated, "If-None-Match": tag}) as answer:
        assert answer.status == 304
    face.kinds.remove(next(kind for kind in face.kinds if kind.kind == "Thing"))
    async with face.session.get("/apis", headers={"Accept": aggregated, "If-None-Match": tag}) as answer:
        assert (await answer.json())["items"] == []


async def test_health_checks(face):
    face.health.add("disk", lambda: "full", endpoints=("readyz",))
    async with face.session.get("/livez", params={"verbose": ""}) as answer:
        assert await answer.text() == "[+]ping ok\nlivez check passed\n"
    async with face.session.get("/readyz") as answer:
        assert answer.status == 500
        assert "[-]disk failed: reason withheld" in await answer.text()
    async with face.session.get("/readyz", params={"exclude": "disk"}) as answer:
        assert answer.status == 200
    async with face.session.get("/readyz/nothing") as answer:
        assert answer.status == 404


async def test_metrics_count_requests(face):
    await create(face, "a")
    async with face.session.get("/metrics") as answer:
        text = await answer.text()
    assert (
        'apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",'
        'scope="namespace",subresource="",verb="POST",version="v1"} 1' in text
    )


async def test_jwks_has_its_own_media_type(face):
    async with face.session.get("/openid/v1/jwks") as answer:
        assert answer.headers["Content-Type"] == "application/jwk-set+json"
    async with face.session.get("/openid/v1/jwks", headers={"Accept": "application/json"}) as answer:
        assert answer.status == 406


async def read_event(answer) -> dict:
    return json.loads(await answer.content.readline())


async def test_watch_sends_events_as_they_come(face):
    async with face.session.get(MAPS, params={"watch": "true"}) as answer:
        assert answer.status == 200
        await create(face, "a")
        event = await read_event(answer)
        assert event["type"] == "ADDED"
        assert event["object"]["metadata"]["name"] == "a"


async def test_watch_ends_at_its_deadline(face):
    face.dispatcher.watch_timeout_s = 0.05
    async with face.session.get(MAPS, params={"watch": "1"}) as answer:
        assert await answer.read() == b""
    assert face.dispatcher.closed_watches == 1


async def test_watch_ends_when_the_client_goes(face):
    async with face.session.get(MAPS, params={"watch": "1"}) as answer:
        answer.close()
    async with asyncio.timeout(5):
        while not face.dispatcher.closed_watches:
            await asyncio.sleep(0.01)


async def test_draining_ends_watches_cleanly(face):
    async with face.session.get(MAPS, params={"watch": "1"}) as answer:
        face.api.drain()
        assert await answer.read() == b""


@pytest.mark.parametrize("early", [True, False])
async def test_an_expired_watch_says_so_in_the_stream(face, early):
    if early:
        face.dispatcher.watch_error = RevisionExpired("too old")
    async with face.session.get(MAPS, params={"watch": "1"}) as answer:
        if not early:
            face.dispatcher.fail_watches(RevisionExpired("too old"))
        event = await read_event(answer)
        assert event["type"] == "ERROR"
        assert event["object"]["code"] == 410
        assert event["object"]["reason"] == "Expired"


async def test_table_watch_names_columns_once(face):
    async with face.session.get(MAPS, params={"watch": "1"}, headers={"Accept": TABLE}) as answer:
        await create(face, "a")
        await create(face, "b")
        first, second = await read_event(answer), await read_event(answer)
    assert first["object"]["columnDefinitions"]
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"] == ["b", 0]


async def test_legacy_watch_of_one_object(face):
    async with face.session.get("/api/v1/watch/namespaces/default/configmaps/a") as answer:
        assert answer.status == 200
    request = face.dispatcher.requests[-1]
    assert request.verb == "watch"
    assert request.options["fieldSelector"] == "metadata.name=a"


async def test_watch_over_a_websocket_sends_a_message_an_event(face):
    async with face.session.ws_connect(MAPS, params={"watch": "1"}) as socket:
        await create(face, "a")
        assert json.loads((await socket.receive()).data)["type"] == "ADDED"
        face.dispatcher.fail_watches(RevisionExpired("too old"))
        assert json.loads((await socket.receive()).data)["object"]["code"] == 410
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_websocket_watch_ends_with_its_client_and_with_its_deadline(face):
    async with face.session.ws_connect(MAPS, params={"watch": "1"}):
        pass
    async with asyncio.timeout(5):
        while not face.dispatcher.closed_watches:
            await asyncio.sleep(0.01)
    face.dispatcher.watch_timeout_s = 0.05
    async with face.session.ws_connect(MAPS, params={"watch": "1"}) as socket:
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


@pytest.mark.parametrize(("timeout", "status"), [("10ms", 504), ("1s", 200), ("soon", 400)])
async def test_timeout_of_the_client_is_a_deadline(face, timeout, status):
    original = face.dispatcher.dispatch

    async def dispatch(request):
        await asyncio.sleep(0.05)
        return await original(request)

    face.dispatcher.dispatch = dispatch
    async with face.session.get(MAPS, params={"timeout": timeout}) as answer:
        assert answer.status == status


async def test_openapi_is_served_with_tags_and_follows_the_kinds(face):
    async with face.session.get("/openapi/v3") as answer:
        paths = (await answer.json(content_type=None))["paths"]
    assert paths.keys() == {"api/v1", "apis/example.com/v1"}
    url = paths["apis/example.com/v1"]["serverRelativeURL"]
    async with face.session.get(url) as answer:
        assert answer.headers["Cache-Control"] == "public, immutable"
        tag = answer.headers["ETag"]
        assert (await answer.json())["kinds"] == ["Thing"]
    async with face.session.get("/openapi/v3/apis/example.com/v1", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    stale = "/openapi/v3/apis/example.com/v1?hash=stale"
    async with face.session.get(stale, allow_redirects=False) as answer:
        assert answer.status == 301
        assert answer.headers["Location"] == url
    face.kinds.remove(next(kind for kind in face.kinds if kind.kind == "Thing"))
    async with face.session.get(url) as answer:
        assert answer.status == 404
    async with face.session.get("/openapi/v2") as answer:
        assert (await answer.json())["kinds"] == ["ConfigMap", "Pod", "Namespace"]


async def test_metrics_say_what_is_running(face):
    async with face.session.get(MAPS, params={"watch": "1"}), face.session.get("/metrics") as answer:
        text = await answer.text()
    assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1' in text
    assert (
        'apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",'
        'subresource="",verb="WATCH",version="v1"} 1' in text
    )


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_long_list_comes_in_pieces(face, encoding):
    for n in range(3):
        await create(face, f"big{n}", k=f"{n}" * 300_000)
    async with face.session.get(MAPS, headers={"Accept-Encoding": encoding}) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert (answer.headers.get("Content-Encoding") == "gzip") is (encoding == "gzip")
        items = (await answer.json())["items"]
    assert [one["data"]["k"][:2] for one in items] == ["00", "11", "22"]
    async with face.session.get(MAPS, headers={"Accept": "application/yaml"}) as answer:
        assert "kind: ConfigMapList" in await answer.text()
    async with aiohttp.ClientSession(face.url, version=aiohttp.HttpVersion10, headers={"Authorization": "Bearer good"}) as old:
        async with old.get(MAPS) as answer:
            assert len((await answer.json())["items"]) == 3
