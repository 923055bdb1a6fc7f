"""A whole server with arguments of kube-apiserver: static tokens, restricted anonymous requests, an audit log; no secret gets into it."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request

import pytest

from tests.support.server_process import ServerProcess

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: [system:serviceaccounts]
- level: RequestResponse
"""
AUTHENTICATION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: {enabled: true, conditions: [{path: /livez}, {path: /readyz}]}
"""
HIDDEN = "aHVudGVyMg=="


def ask(server, method, path, body=None, *, admin=False, **headers):
    context = ssl.create_default_context(cafile=str(server.ca))
    if admin:
        context.load_cert_chain(server.admin_cert, server.admin_key)
    data = json.dumps(body).encode() if body is not None else None
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
def test_who_is_let_in_and_what_is_written_of_it(tmp_path):
    files = {"policy": POLICY, "authentication": AUTHENTICATION, "tokens": 'hunter2-token,alice,1,"system:masters"\n'}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    arguments = [
        f"token-auth-file={tmp_path}/tokens",
        f"authentication-config={tmp_path}/authentication",
        f"audit-policy-file={tmp_path}/policy",
        f"audit-log-path={tmp_path}/audit.log",
    ]
    with ServerProcess(tmp_path, *(f"--kube-apiserver-arg={one}" for one in arguments)) as server:
        assert ask(server, "GET", "/livez") in (200, 500)  # 500: it is still starting
        assert [ask(server, "GET", path) for path in ("/version", "/api")] == [401, 401]
        token = {"Authorization": "Bearer hunter2-token"}
        secrets = "/api/v1/namespaces/default/secrets"
        assert ask(server, "POST", secrets, {"metadata": {"name": "s"}, "data": {"k": HIDDEN}}, **token) == 201
        assert ask(server, "GET", secrets, **token) == 200
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        assert ask(server, "POST", accounts, {"metadata": {"name": "bot"}}, admin=True) == 201
        assert ask(server, "POST", f"{accounts}/bot/token", {"spec": {}}, admin=True) == 201
        review = {"spec": {"token": "hunter2-token"}}
        assert ask(server, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", review, admin=True) == 201
        assert ask(server, "GET", "/api/v1/nodes", Impersonate_User="bob", admin=True) == 403
        assert ask(server, "GET", "/api/v1/nodes", Authorization="Bearer hunter2-wrong") == 401
    text = (tmp_path / "audit.log").read_text()
    for secret in (HIDDEN, "hunter2", "eyJhbGciOi"):
        assert secret not in text, secret
    events = [json.loads(line) for line in text.splitlines()]
    told = {(one["user"].get("username"), one["requestURI"], one["responseStatus"]["code"]) for one in events}
    assert ("alice", secrets, 201) in told
    assert (None, "/api/v1/nodes", 401) in told
    [impersonated] = [one for one in events if one.get("impersonatedUser", {}).get("username") == "bob"]
    assert impersonated["user"]["username"] == "system:admin"
    assert impersonated["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert "hunter2" not in server.log.read_text()
