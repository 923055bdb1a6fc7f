"""The first rule that fits decides; secrets are for those who name them."""

import pytest
import yaml

from k3py.api.user import User
from k3py.apiserver.audit.policy import Level, Subject, load_policy
from k3py.errors import ConfigError

ALICE = User(name="alice", groups=("dev", "system:authenticated"))


def load(tmp_path, *rules, **more):
    file = tmp_path / "policy.yaml"
    document = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more}
    file.write_text(yaml.safe_dump(document))
    return load_policy(file)


def subject(resource="", group="", **more):
    return Subject(user=ALICE, verb=more.pop("verb", "get"), group=group, resource=resource, **more)


ONE = {"level": "Request"}


@pytest.mark.parametrize(
    ("rule", "one", "fits"),
    [
        ({}, subject("pods"), True),
        ({"users": ["alice"]}, subject("pods"), True),
        ({"users": ["bob"]}, subject("pods"), False),
        ({"userGroups": ["ops", "dev"]}, subject("pods"), True),
        ({"verbs": ["list"]}, subject("pods"), False),
        ({"namespaces": ["d"]}, subject("pods", namespace="d"), True),
        ({"namespaces": ["d"]}, subject("pods", namespace="e"), False),
        ({"namespaces": ["d"]}, subject(path="/logs"), False),
        ({"namespaces": [""]}, subject("nodes"), True),
        ({"resources": [{"group": ""}]}, subject("pods"), True),
        ({"resources": [{"group": "apps"}]}, subject("pods"), False),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, subject("pods"), True),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, subject("pods/log"), False),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, subject("pods/log"), True),
        ({"resources": [{"group": "", "resources": ["*/log"]}]}, subject("pods/log"), True),
        ({"resources": [{"group": "", "resources": ["*"]}]}, subject("pods/log"), True),
        ({"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["x"]}]}, subject("pods", name="y"), False),
        ({"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["x"]}]}, subject("pods", name="x"), True),
        ({"nonResourceURLs": ["/logs*"]}, subject(path="/logs/a"), True),
        ({"nonResourceURLs": ["/logs"]}, subject(path="/logs/a"), False),
        ({"nonResourceURLs": ["*"]}, subject("pods", path="/api/v1/pods"), False),
    ],
)
def test_rules_fit_as_upstreams(tmp_path, rule, one, fits):
    found = load(tmp_path, {**ONE, **rule}).decide(one)
    assert found.level is (Level.REQUEST if fits else Level.NONE)


def test_the_first_rule_counts_and_stages_add_up(tmp_path):
    policy = load(
        tmp_path,
        {"level": "Metadata", "verbs": ["get"], "omitStages": ["ResponseStarted"]},
        {"level": "None"},
        omitStages=["RequestReceived"],
        omitManagedFields=True,
    )
    found = policy.decide(subject("pods"))
    assert (found.level, found.omit_stages) == (Level.METADATA, {"RequestReceived", "ResponseStarted"})
    assert found.omit_managed_fields
    assert policy.decide(subject("pods", verb="list")).level is Level.NONE


@pytest.mark.parametrize(
    ("resource", "group"),
    [("secrets", ""), ("serviceaccounts/token", ""), ("tokenreviews", "authentication.k8s.io")],
)
@pytest.mark.parametrize("wide", [{}, {"resources": [{"group": "GROUP"}]}, {"resources": [{"group": "GROUP", "resources": ["*"]}]}])
def test_a_rule_for_everything_never_writes_a_secret(tmp_path, resource, group, wide):
    rule = {"level": "RequestResponse", **yaml.safe_load(yaml.safe_dump(wide).replace("GROUP", group or '""'))}
    assert load(tmp_path, rule).decide(subject(resource, group)).level is Level.METADATA
    named = {"level": "RequestResponse", "resources": [{"group": group, "resources": [resource]}]}
    assert load(tmp_path, named).decide(subject(resource, group)).level is Level.REQUEST_RESPONSE


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"level": "All"}, "rules[0].level: 'All'"),
        ({}, "rules[0].level"),
        ({**ONE, "nonResourceURLs": ["logs"]}, "nonResourceURLs: 'logs'"),
        ({**ONE, "nonResourceURLs": ["/a*b"]}, "nonResourceURLs: '/a*b'"),
        ({**ONE, "nonResourceURLs": ["/a"], "namespaces": ["d"]}, "cannot be given together"),
        ({**ONE, "resources": [{"group": "apps/v1"}]}, "resources[0].group: 'apps/v1'"),
        ({**ONE, "resources": [{"group": "", "resourceNames": ["a"]}]}, "resources[0].resourceNames"),
        ({**ONE, "omitStages": ["Never"]}, "omitStages: 'Never'"),
        ({**ONE, "more": 1}, "rules[0].more: is not known"),
    ],
)
def test_faults_name_the_field(tmp_path, rule, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, rule)
    assert words in str(caught.value)


def test_a_policy_has_rules(tmp_path):
    with pytest.raises(ConfigError, match="rules: must hold at least one rule"):
        load(tmp_path)
