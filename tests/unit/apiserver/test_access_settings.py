"""What arguments name is read and put together; without arguments nothing is loaded."""

import subprocess
import sys

import pytest

from k3py.api.user import User
from k3py.apiserver.access_settings import AccessSettings, load_access_settings
from k3py.apiserver.assembly import ApiOptions
from k3py.apiserver.interface import Attributes, Credentials
from k3py.config.api_server_arguments import parse_api_server_arguments
from k3py.errors import ConfigError
from tests.support.api import run_api
from tests.support.https_answers import write_webhook_kubeconfig
from tests.support.throwaway_pki import make_pki


async def test_a_token_file_and_modes_reach_the_server(tmp_path):
    file = tmp_path / "tokens.csv"
    file.write_text("secret,alice,1,dev")
    arguments = parse_api_server_arguments([f"token-auth-file={file}", "authorization-mode=AlwaysAllow"])
    async with run_api(options=ApiOptions(access=load_access_settings(arguments))) as api:
        alice = await api.assembly.authenticator.authenticate(Credentials(bearer="secret"))
        assert (alice.name, alice.groups) == ("alice", ("dev", "system:authenticated"))
        assert (await api.assembly.authorizer.authorize(Attributes(user=alice, verb="x", resource="y"))).allowed
        api.user = alice
        review = await api.send("create", "tokenreviews", body={"spec": {"token": "secret"}})
        assert review["status"]["user"]["username"] == "alice"


@pytest.mark.parametrize(("modes", "allowed"), [("RBAC", False), ("AlwaysDeny", False), ("RBAC,AlwaysAllow", True)])
async def test_only_the_modes_that_are_named_count(modes, allowed):
    arguments = parse_api_server_arguments([f"authorization-mode={modes}"])
    async with run_api(options=ApiOptions(access=load_access_settings(arguments))) as api:
        request = Attributes(user=User(name="alice"), verb="get", resource="pods")
        assert (await api.assembly.authorizer.authorize(request)).allowed is allowed


async def test_rules_are_not_all_when_a_webhook_decides_too(tmp_path):
    make_pki(tmp_path)
    kubeconfig = write_webhook_kubeconfig(tmp_path, "https://192.0.2.1")
    given = ["authorization-mode=RBAC,Webhook", f"authorization-webhook-config-file={kubeconfig}"]
    for arguments, incomplete in ((given, True), ([], False)):
        access = load_access_settings(parse_api_server_arguments(arguments))
        async with run_api(options=ApiOptions(access=access)) as api:
            review = await api.send("create", "selfsubjectrulesreviews", body={"spec": {"namespace": "default"}})
            assert review["status"]["incomplete"] is incomplete
            assert ("evaluationError" in review["status"]) is incomplete


def test_anonymous_is_said_in_one_place(tmp_path):
    file = tmp_path / "a.yaml"
    text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true, conditions: [{path: /livez}]}"
    file.write_text(text)
    one = f"authentication-config={file}"
    assert load_access_settings(parse_api_server_arguments([one])).anonymous_paths == {"/livez"}
    with pytest.raises(ConfigError, match="cannot be given together with anonymous-auth"):
        load_access_settings(parse_api_server_arguments([one, "anonymous-auth=false"]))
    assert not load_access_settings(parse_api_server_arguments(["anonymous-auth=false"])).anonymous


@pytest.mark.slow
def test_a_server_without_arguments_loads_none_of_it():
    """Idle memory is a budget: expressions, JWTs and webhooks are for those who ask for them."""
    code = (
        "import sys, k3py.apiserver.assembly as a\n"
        "from k3py.apiserver.access_settings import load_access_settings\n"
        "from k3py.config.api_server_arguments import ApiServerArguments\n"
        "load_access_settings(ApiServerArguments()).make_issuers(); load_access_settings(ApiServerArguments()).make_authorizers({})\n"
        "print([one for one in sys.modules if one.startswith(('k3py.api.cel', 'k3py.apiserver.authn.json', 'k3py.apiserver.authz.webhook', 'yaml'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
    assert AccessSettings().make_authorizers({}) == []
