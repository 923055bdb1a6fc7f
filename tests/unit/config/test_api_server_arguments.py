"""--kube-apiserver-arg: what is not honoured is refused, never ignored."""

import pytest

from k3py.config.api_server_arguments import parse_api_server_arguments
from k3py.config.server import load_server_config
from k3py.errors import ConfigError

OIDC = ["oidc-issuer-url=https://e.example", "oidc-client-id=k"]


def test_values_have_types_and_lists_grow():
    given = [*OIDC, "--anonymous-auth=false", "oidc-required-claim=a=b", "oidc-required-claim=c=d"]
    arguments = parse_api_server_arguments([*given, "authorization-mode=Node,RBAC"])
    assert arguments.text("oidc-issuer-url") == "https://e.example"
    assert arguments.flag("anonymous-auth", default=True) is False
    assert arguments.texts("oidc-required-claim") == ("a=b", "c=d")
    assert arguments.texts("authorization-mode") == ("Node", "RBAC")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["feature-gates=A=true"], "'feature-gates': k3py has no such argument"),
        (["token-auth-file"], "must be name=value"),
        (["token-auth-file="], "must be a file"),
        (["anonymous-auth=yes"], "must be true or false"),
        (["audit-log-maxage=-1"], "must be a whole number"),
        (["authorization-webhook-cache-authorized-ttl=5"], "must be a duration"),
        (["authorization-mode=ABAC"], "must be a list of Node, RBAC"),
        (["authorization-mode=RBAC,RBAC"], "none twice"),
        (["authorization-mode=Webhook"], "must be given together"),
        (["oidc-issuer-url=https://e.example"], "oidc-issuer-url and oidc-client-id"),
        ([*OIDC, "authentication-config=/f"], "cannot be given together with oidc-issuer-url"),
        (["authorization-config=/f", "authorization-mode=RBAC"], "cannot be given together with authorization-mode"),
        (["service-account-max-token-expiration=30m"], "must be from 1h"),
        (["service-account-issuer="], "must not be empty"),
        (["service-account-jwks-uri=http://x"], "must be a URL that starts with https://"),
        (["audit-log-path=/f"], "audit-policy-file: must be given together"),
    ],
)
def test_faults_name_the_argument(given, words):
    with pytest.raises(ConfigError) as caught:
        parse_api_server_arguments(given)
    assert words in str(caught.value)
    assert "--kube-apiserver-arg" in str(caught.value)


def test_commas_stay_in_arguments_on_the_command_line_and_in_files(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("kube-apiserver-arg:\n- authorization-mode=Node,RBAC\n- anonymous-auth=false\n")
    config = load_server_config(["--node-ip=192.0.2.7"], {"K3PY_CONFIG_FILE": str(file)})
    assert config.kube_apiserver_arg.texts("authorization-mode") == ("Node", "RBAC")
    flags = ["--node-ip=192.0.2.7", "--kube-apiserver-arg", "authorization-mode=RBAC,Node"]
    config = load_server_config(flags, {"K3PY_CONFIG_FILE": ""})
    assert config.kube_apiserver_arg.texts("authorization-mode") == ("RBAC", "Node")
