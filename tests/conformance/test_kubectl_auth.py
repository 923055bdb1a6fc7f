"""Who may do what: auth can-i, whoami, impersonation, tokens, reconcile."""

import json
from pathlib import Path

import jwt
import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def reader(kubectl, namespace):
    """Lets alice and the account "robot" read config maps."""
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "read", "--role=reader", "--user=alice", f"--serviceaccount={namespace}:robot")
    return kubectl


def test_can_i(reader, namespace):
    assert reader("auth", "can-i", "create", "pods") == "yes\n"
    assert reader("auth", "can-i", "*", "*", "-A") == "yes\n"
    assert reader("auth", "can-i", "get", "configmaps", "--as=alice") == "yes\n"
    assert reader("auth", "can-i", "get", "configmaps", f"--as=system:serviceaccount:{namespace}:robot") == "yes\n"
    done = reader.run("auth", "can-i", "delete", "configmaps", "--as=alice")
    assert (done.returncode, done.stdout) == (1, "no\n")
    assert reader.run("auth", "can-i", "get", "pods/log", "--as=alice", "-q").returncode == 1
    assert reader.run("auth", "can-i", "get", "/healthz", "--as=alice", "--as-group=system:authenticated").stdout == "yes\n"
    done = reader.run("auth", "can-i", "get", "unicorns", "--as=alice")
    assert "the server doesn't have a resource type 'unicorns'" in done.stderr
    assert done.stdout == "no\n"


def test_can_i_list(reader):
    lines = [line.split() for line in reader("auth", "can-i", "--list", "--as=alice").splitlines()]
    assert lines[0] == ["Resources", "Non-Resource", "URLs", "Resource", "Names", "Verbs"]
    assert ["configmaps", "[]", "[]", "[get", "list]"] in lines
    assert ["*.*", "[]", "[]", "[*]"] in [line.split() for line in reader("auth", "can-i", "--list").splitlines()]
    assert "selfsubjectreviews.authentication.k8s.io" in reader(
        "auth", "can-i", "--list", "--as=alice", "--as-group=system:authenticated"
    )


def test_whoami(reader, namespace):
    lines = [line.split() for line in reader("auth", "whoami").splitlines()]
    assert lines[0] == ["ATTRIBUTE", "VALUE"]
    assert lines[1] == ["Username", "system:admin"]
    assert lines[2] == ["Groups", "[system:masters", "system:authenticated]"]
    found = json.loads(reader("auth", "whoami", "-o", "json", "--as=alice", "--as-group=ops", "--as-user-extra=a=b"))
    user = found["status"]["userInfo"]
    assert user["username"] == "alice"
    assert user["groups"] == ["ops", "system:authenticated"]
    assert user["extra"] == {"a": ["b"]}


def with_token(kubectl, token):
    """Arguments that make kubectl forget the certificate: a kubeconfig with a token."""
    ours = Path(kubectl.environment["KUBECONFIG"])
    config = yaml.safe_load(ours.read_text())
    config["users"][0]["user"] = {"token": token}
    path = ours.with_name(f"kubeconfig-{kubectl.namespace}")
    path.write_text(yaml.safe_dump(config))
    return {"KUBECONFIG": str(path)}


def test_a_token_of_a_service_account_is_who_it_says(reader, namespace):
    token = reader("create", "token", "robot").strip()
    environment = with_token(reader, token)
    assert f"system:serviceaccount:{namespace}:robot" in reader("auth", "whoami", **environment)
    assert "kube-root-ca.crt" in reader("get", "configmaps", **environment)
    assert reader.fails("get", "secrets", **environment) == (
        f'Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:{namespace}:robot" cannot list '
        f'resource "secrets" in API group "" in the namespace "{namespace}"\n'
    )
    reader("delete", "serviceaccount", "robot")
    assert "You must be logged in to the server" in reader.fails("get", "configmaps", **environment)


def test_an_expired_token_is_none(reader, cluster):
    token = reader("create", "token", "robot").strip()
    claims = jwt.decode(token, options={"verify_signature": False})
    key = (cluster.folder / "data/server/tls/service.key").read_text()
    kid = jwt.get_unverified_header(token)["kid"]
    method = jwt.get_unverified_header(token)["alg"]

    def signed(**changed):
        return jwt.encode({**claims, **changed}, key, algorithm=method, headers={"kid": kid})

    assert "robot" in reader("auth", "whoami", **with_token(reader, signed()))
    expired = signed(iat=claims["iat"] - 7200, nbf=claims["nbf"] - 7200, exp=claims["iat"] - 3600)
    unauthorized = "error: You must be logged in to the server (Unauthorized)\n"
    assert reader.fails("get", "configmaps", **with_token(reader, expired)) == unauthorized
    early = signed(nbf=claims["nbf"] + 3600)
    assert reader.fails("get", "configmaps", **with_token(reader, early)) == unauthorized
    forged = token[:-8] + ("A" * 8 if token[-8:] != "A" * 8 else "B" * 8)
    assert reader.fails("get", "configmaps", **with_token(reader, forged)) == unauthorized


def test_a_token_for_another_audience_is_none(reader):
    token = reader("create", "token", "robot", "--audience=elsewhere").strip()
    fault = reader.fails("get", "configmaps", **with_token(reader, token))
    assert fault == "error: You must be logged in to the server (Unauthorized)\n"


def test_forbidden_says_who_what_and_where(reader, namespace):
    assert reader.fails("get", "pods", "--as=alice") == (
        'Error from server (Forbidden): pods is forbidden: User "alice" cannot list resource "pods" in API group "" '
        f'in the namespace "{namespace}"\n'
    )
    assert reader.fails("get", "nodes", "--as=alice") == (
        'Error from server (Forbidden): nodes is forbidden: User "alice" cannot list resource "nodes" in API group "" '
        "at the cluster scope\n"
    )
    assert reader.fails("delete", "deployment", "web", "--as=alice") == (
        'Error from server (Forbidden): deployments.apps "web" is forbidden: User "alice" cannot delete resource "deployments" '
        f'in API group "apps" in the namespace "{namespace}"\n'
    )
    assert 'User "alice" cannot get path "/metrics"' in reader.fails("get", "--raw", "/metrics", "--as=alice")


def test_nobody_gives_away_more_than_he_has(reader):
    reader("create", "role", "maker", "--verb=create,get,update,patch", "--resource=roles,rolebindings")
    reader("create", "rolebinding", "make", "--role=maker", "--user=alice")
    fault = reader.fails("create", "role", "more", "--verb=delete", "--resource=configmaps", "--as=alice")
    assert 'user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held' in fault
    assert '{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}' in fault
    reader("create", "role", "same", "--verb=get", "--resource=configmaps", "--as=alice")


def test_reconcile_makes_roles_as_they_should_be(reader, namespace):
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    metadata = {"name": "reader", "namespace": namespace}
    manifest = json.dumps({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules})
    answer = reader("auth", "reconcile", "-f", "-", stdin=manifest)
    assert answer.startswith("role.rbac.authorization.k8s.io/reader reconciled\n")
    assert len(reader.get("role", "reader")["rules"]) == 2


def test_a_token_lives_ten_minutes_at_least(reader):
    fault = reader.fails("create", "token", "robot", "--duration=1s")
    assert "may not specify a duration less than 10 minutes" in fault
