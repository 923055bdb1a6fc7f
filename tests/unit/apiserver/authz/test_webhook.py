"""A webhook decides: what it is asked, what is remembered, what its failures mean."""

import pytest
import yaml

from k3py.api.user import User
from k3py.apiserver.authz.configuration import load_authorization
from k3py.apiserver.authz.webhook import WebhookAuthorizer, WebhookSettings, spec_of
from k3py.apiserver.interface import Attributes
from k3py.apiserver.review_webhook import ReviewWebhook
from k3py.client.kubeconfig import load_kubeconfig
from k3py.errors import ConfigError
from tests.support.https_answers import run_answers, write_webhook_kubeconfig
from tests.support.throwaway_pki import make_pki

ALICE = User(name="alice", uid="1", groups=("dev",), extra={"k": ("v",)})
GET = Attributes(user=ALICE, verb="get", group="apps", version="v1", resource="deployments", namespace="d", name="x")


@pytest.fixture
async def server(tmp_path):
    make_pki(tmp_path)

    async with run_answers(tmp_path, lambda path, body: (200, {"status": {"allowed": True}})) as server:
        webhook = ReviewWebhook(load_kubeconfig(write_webhook_kubeconfig(tmp_path, server.url)), name="w")
        server.make = lambda **more: WebhookAuthorizer(webhook, WebhookSettings(**more))
        yield server
        await webhook.close()


async def test_it_is_asked_once_for_what_it_allowed(server):
    one = server.make()
    for _ in range(2):
        assert (await one.authorize(GET)).allowed
    [(_, body, _)] = server.requests
    assert body["apiVersion"] == "authorization.k8s.io/v1"
    attributes = {"namespace": "d", "verb": "get", "group": "apps", "version": "v1", "resource": "deployments", "name": "x"}
    who = {"user": "alice", "uid": "1", "groups": ["dev"], "extra": {"k": ["v"]}}
    assert body["spec"] == who | {"resourceAttributes": attributes}


def test_selectors_and_paths_are_told():
    one = Attributes(user=ALICE, verb="list", resource="pods", field_selector="spec.nodeName=a", label_selector="x in (a,b),!y")
    told = spec_of(one, "v1")["resourceAttributes"]
    assert told["fieldSelector"] == {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["a"]}]}
    labels = told["labelSelector"]["requirements"]
    assert labels == [{"key": "x", "operator": "In", "values": ["a", "b"]}, {"key": "y", "operator": "DoesNotExist"}]
    path = spec_of(Attributes(user=User(name="a"), verb="get", path="/logs"), "v1")
    assert path == {"user": "a", "nonResourceAttributes": {"path": "/logs", "verb": "get"}}


@pytest.mark.parametrize(
    ("status", "allowed", "denied"),
    [
        ({"allowed": False}, False, False),
        ({"allowed": False, "denied": True, "reason": "no"}, False, True),
        ({"allowed": "yes"}, False, False),
    ],
)
async def test_no_opinion_and_a_denial_differ(server, status, allowed, denied):
    server.answer = lambda path, body: (200, {"status": status})
    decision = await server.make().authorize(GET)
    assert (decision.allowed, decision.denied) == (allowed, denied)


@pytest.mark.parametrize("denies", [True, False])
@pytest.mark.parametrize("answer", [(400, {}), (200, {"status": {"allowed": True, "denied": True}}), (200, {})])
async def test_failures_are_never_a_yes_and_are_not_remembered(server, answer, denies):
    good, server.answer = server.answer, lambda path, body: answer
    one = server.make(deny_on_failure=denies)
    decision = await one.authorize(GET)
    assert (decision.allowed, decision.denied) == (False, denies)
    server.answer = good
    assert (await one.authorize(GET)).allowed


def configuration(webhook=None, **more):
    settings = {
        "timeout": "3s",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/w.kubeconfig"},
        "matchConditions": [{"expression": "request.user != 'system:apiserver' && has(request.resourceAttributes)"}],
        **(webhook or {}),
    }
    settings = {key: value for key, value in settings.items() if value is not None}
    authorizers = [{"type": "Node", "name": "node"}, {"type": "Webhook", "name": "w", "webhook": settings}, {"type": "RBAC", "name": "rbac"}]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": authorizers,
        **more,
    }


def load(tmp_path, document):
    file = tmp_path / "authorization.yaml"
    file.write_text(yaml.safe_dump(document))
    return load_authorization(file)


async def test_conditions_decide_who_is_asked_about(server, tmp_path):
    node, webhook, rbac = load(tmp_path, configuration())
    assert (node.mode, rbac.mode, webhook.timeout_s, webhook.webhook.deny_on_failure) == ("Node", "RBAC", 3.0, True)
    one = server.make(conditions=webhook.webhook.conditions)
    assert (await one.authorize(GET)).allowed
    assert not (await one.authorize(Attributes(user=User(name="system:apiserver"), verb="get", resource="pods"))).allowed
    assert not (await one.authorize(Attributes(user=ALICE, verb="get", path="/logs"))).allowed
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (configuration(authorizers=[]), "authorizers: must hold at least one"),
        (configuration(authorizers=[{"type": "ABAC", "name": "a"}]), "authorizers[0].type: 'ABAC'"),
        (configuration(authorizers=[{"type": "RBAC", "name": "a"}, {"type": "RBAC", "name": "b"}]), "[1].type: 'RBAC': stands there twice"),
        (configuration(authorizers=[{"type": "RBAC", "name": "a"}, {"type": "Node", "name": "a"}]), "[1].name: 'a': stands there twice"),
        (configuration(authorizers=[{"type": "RBAC", "name": "a", "webhook": {}}]), "webhook: must be given for the type Webhook"),
        (configuration({"timeout": "31s"}), "timeout: must be given, more than 0s and at most 30s"),
        (configuration({"timeout": None}), "timeout: must be given"),
        (configuration({"failurePolicy": "Allow"}), "failurePolicy: 'Allow': must be 'NoOpinion' or 'Deny'"),
        (configuration({"connectionInfo": {"type": "InClusterConfig"}}), "'InClusterConfig': must be 'KubeConfigFile'"),
        (configuration({"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "w"}}), "must be an absolute path"),
        (configuration({"matchConditionSubjectAccessReviewVersion": None}), "must be 'v1' for matchConditions"),
        (configuration({"matchConditions": [{"expression": "request.name"}]}), "matchConditions[0].expression: 'request.name'"),
        (configuration({"more": 1}), "webhook.more: is not known"),
    ],
)
def test_faults_name_the_field(tmp_path, document, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, document)
    assert words in str(caught.value)
