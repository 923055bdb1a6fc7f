"""An AuthenticationConfiguration is read as v1.35 reads it, and what is wrong is named."""

import copy

import pytest
import yaml

from k3py.apiserver.authn.json_web_token.settings import load_authentication, settings_of_arguments
from k3py.config.api_server_arguments import parse_api_server_arguments
from k3py.errors import ConfigError

GOOD = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AuthenticationConfiguration",
    "anonymous": {"enabled": True, "conditions": [{"path": "/livez"}]},
    "jwt": [
        {
            "issuer": {"url": "https://example.com", "audiences": ["a", "b"], "audienceMatchPolicy": "MatchAny"},
            "claimValidationRules": [
                {"claim": "hd", "requiredValue": "example.com"},
                {"expression": "claims.exp - claims.nbf <= 86400", "message": "too long"},
            ],
            "claimMappings": {
                "username": {"expression": "claims.email_verified ? claims.email : 'nobody'"},
                "groups": {"claim": "roles", "prefix": "oidc:"},
                "uid": {"claim": "sub"},
                "extra": [{"key": "example.com/tenant", "valueExpression": "claims.tenant"}],
            },
            "userValidationRules": [{"expression": "!user.username.startsWith('system:')"}],
        }
    ],
}


def load(tmp_path, document):
    file = tmp_path / "authentication.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return load_authentication(file)


def test_a_whole_configuration(tmp_path):
    read = load(tmp_path, GOOD)
    assert read.anonymous.paths == {"/livez"}
    [issuer] = read.issuers
    assert issuer.audiences == ("a", "b")
    assert issuer.groups.prefix == "oidc:"
    assert [one.claim for one in issuer.claim_rules] == ["hd", ""]
    assert issuer.extra[0][0] == "example.com/tenant"


def change(path, value):
    """Return the good document with one field replaced; None removes it."""
    document = copy.deepcopy(GOOD)
    *way, last = (int(key) if key.isdigit() else key for key in path.split("."))
    at = document
    for key in way:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("kind", "Other", "kind: 'Other': must be 'AuthenticationConfiguration'"),
        ("apiVersion", "v1", "apiVersion"),
        ("more", 1, "more: is not known"),
        ("jwt.0.more", 1, "jwt[0].more: is not known"),
        ("jwt.0.issuer.url", "http://example.com", "jwt[0].issuer.url: 'http://example.com': must be a https URL"),
        ("jwt.0.issuer.url", "https://u@example.com", "must be a https URL"),
        ("jwt.0.issuer.discoveryURL", "https://example.com/", "must be different from url"),
        ("jwt.0.issuer.audiences", [], "jwt[0].issuer.audiences"),
        ("jwt.0.issuer.audienceMatchPolicy", None, "must be 'MatchAny' for several audiences"),
        ("jwt.0.claimMappings.username", {"claim": "sub"}, "username.prefix: must be given with claim"),
        ("jwt.0.claimMappings.username", {}, "claim or expression must be given"),
        ("jwt.0.claimMappings.username", {"claim": "a", "expression": "b", "prefix": ""}, "together with expression"),
        ("jwt.0.claimMappings.username", {"expression": "claims.email"}, "claims.email_verified must be used"),
        ("jwt.0.claimMappings.username", {"expression": "1 +"}, "username.expression: '1 +'"),
        ("jwt.0.claimMappings.username", {"expression": "1 + 1"}, "must evaluate to string"),
        ("jwt.0.claimMappings.username", None, "claimMappings.username: must be an object"),
        ("jwt.0.claimMappings.extra.0.key", "k8s.io/x", "reserved"),
        ("jwt.0.claimMappings.extra.0.key", "NoDomain", "must be a domain and a path"),
        ("jwt.0.claimValidationRules.0", {"claim": "a", "expression": "true"}, "exactly one of claim and expression"),
        ("jwt.0.userValidationRules.0.expression", "user.name == 'a'", "userValidationRules[0].expression"),
        ("anonymous", {"enabled": False, "conditions": [{"path": "/"}]}, "anonymous.conditions: must be empty"),
        ("anonymous", {"enabled": "yes"}, "anonymous.enabled: must be true or false"),
    ],
)
def test_faults_name_the_field(tmp_path, path, value, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, change(path, value))
    assert words in str(caught.value)


def test_an_issuer_stands_there_once(tmp_path):
    document = copy.deepcopy(GOOD)
    document["jwt"] *= 2
    with pytest.raises(ConfigError, match="stands there twice"):
        load(tmp_path, document)


def test_what_is_no_yaml_is_told_without_its_content(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "token: hunter2: [")
    assert "hunter2" not in str(caught.value)


def test_arguments_have_upstreams_defaults():
    arguments = parse_api_server_arguments(["oidc-issuer-url=https://example.com", "oidc-client-id=k"])
    settings = settings_of_arguments(arguments, "")
    assert (settings.username.claim, settings.username.prefix) == ("sub", "https://example.com#")
    assert settings.algorithms == ("RS256",)
    more = ["oidc-username-claim=email", "oidc-required-claim=a=b,c=d", "oidc-groups-claim=g"]
    arguments = parse_api_server_arguments(["oidc-issuer-url=https://example.com", "oidc-client-id=k", *more])
    settings = settings_of_arguments(arguments, "")
    assert settings.username.prefix == ""
    assert [(one.claim, one.value) for one in settings.claim_rules] == [("a", "b"), ("c", "d")]
