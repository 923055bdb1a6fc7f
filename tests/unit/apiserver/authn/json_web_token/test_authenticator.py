"""Tokens of an issuer become users by the rules of its configuration; every other token does not."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from k3py.api.status import ApiError
from k3py.apiserver.authn.json_web_token.authenticator import JwtAuthenticator, make_user
from k3py.apiserver.authn.json_web_token.expression import compile_claims, compile_user
from k3py.apiserver.authn.json_web_token.issuer_keys import IssuerKeys
from k3py.apiserver.authn.json_web_token.settings import JwtSettings, Mapping, Rule
from k3py.apiserver.interface import Credentials
from k3py.errors import K3pyError
from tests.support.https_answers import run_answers
from tests.support.throwaway_pki import make_pki

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


def jwk(key, key_id, algorithm):
    make = jwt.algorithms.RSAAlgorithm if algorithm == "RS256" else jwt.algorithms.ECAlgorithm
    return make.to_jwk(key.public_key(), as_dict=True) | {"kid": key_id, "alg": algorithm, "use": "sig"}


class Issuer:
    """An OpenID issuer with keys that can change."""

    def __init__(self):
        self.keys = [jwk(RSA, "one", "RS256")]
        self.url = ""

    def answer(self, path, _body):
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return (200, {"keys": self.keys}) if path == "/keys" else (404, {})

    def token(self, key=RSA, key_id="one", algorithm="RS256", **claims):
        now = int(time.time())
        claims = {"iss": self.url, "aud": "k3py", "sub": "alice", "exp": now + 60, "iat": now, **claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})


@pytest.fixture
async def issuer(tmp_path):
    make_pki(tmp_path)
    issuer = Issuer()
    async with run_answers(tmp_path, issuer.answer) as server:
        issuer.url, issuer.server, issuer.ca = server.url, server, (tmp_path / "ca.crt").read_text()
        yield issuer


def authenticator(issuer, **more):
    settings = {"issuer": issuer.url, "authority": issuer.ca, "audiences": ("k3py",), "username": Mapping("sub", "o:")}
    settings = JwtSettings(**settings | more)
    return JwtAuthenticator(settings, IssuerKeys(settings))


async def test_a_token_of_the_issuer_names_a_user_and_keys_are_fetched_once(issuer):
    one = authenticator(issuer)
    for _ in range(3):
        assert (await one.authenticate(Credentials(bearer=issuer.token()))).name == "o:alice"
    assert [path for path, _, _ in issuer.server.requests] == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": int(time.time()) + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": 1},
    ],
)
async def test_invalid_tokens_are_refused(issuer, claims):
    with pytest.raises(ApiError) as caught:
        await authenticator(issuer).authenticate(Credentials(bearer=issuer.token(**claims)))
    assert caught.value.code == 401


async def test_foreign_keys_and_algorithms_are_refused(issuer):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    none = jwt.encode({"iss": issuer.url, "aud": "k3py", "sub": "a", "exp": 9e9}, None, algorithm="none")
    secret = issuer.keys[0]["n"].encode()
    symmetric = issuer.token(key=secret, algorithm="HS256")  # signed with what everybody knows
    one = authenticator(issuer)
    for token in (issuer.token(key=other), none, symmetric):
        with pytest.raises(ApiError) as caught:
            await one.authenticate(Credentials(bearer=token))
        assert caught.value.code == 401


async def test_tokens_of_others_are_left_to_others(issuer):
    one = authenticator(issuer)
    for token in ("", "abc.def", "a.b.c", issuer.token(iss="https://elsewhere.example")):
        assert await one.authenticate(Credentials(bearer=token)) is None
    assert issuer.server.requests == []


async def test_a_new_key_of_the_issuer_is_fetched(issuer, monkeypatch):
    one = authenticator(issuer)
    await one.authenticate(Credentials(bearer=issuer.token()))
    issuer.keys.append(jwk(ELLIPTIC, "two", "ES256"))
    new = issuer.token(key=ELLIPTIC, key_id="two", algorithm="ES256")
    with pytest.raises(ApiError):  # asked a moment ago: unknown keys do not make us a hammer
        await one.authenticate(Credentials(bearer=new))
    monkeypatch.setattr("k3py.apiserver.authn.json_web_token.issuer_keys._AGAIN_S", 0.0)
    assert (await one.authenticate(Credentials(bearer=new))).name == "o:alice"


async def test_an_issuer_that_is_away_refuses_and_recovers(issuer, monkeypatch):
    monkeypatch.setattr("k3py.apiserver.authn.json_web_token.issuer_keys._AGAIN_S", 0.0)
    one, good = authenticator(issuer), issuer.server.answer
    issuer.server.answer = lambda path, body: (503, {})
    with pytest.raises(ApiError):
        await one.authenticate(Credentials(bearer=issuer.token()))
    issuer.server.answer = lambda path, body: (200, {"issuer": "https://evil.example", "jwks_uri": f"{issuer.url}/keys"})
    with pytest.raises(ApiError):
        await one.authenticate(Credentials(bearer=issuer.token()))
    issuer.server.answer = good
    assert (await one.authenticate(Credentials(bearer=issuer.token()))).name == "o:alice"


BASE = {"issuer": "https://e.example", "audiences": ("a",)}


def user(claims, **settings):
    return make_user(JwtSettings(**BASE, **{"username": Mapping("sub"), **settings}), {"sub": "alice", **claims})


def test_groups_uid_and_extra_come_from_claims():
    found = user(
        {"roles": ["a", "", "b"], "id": "7", "tenant": "t"},
        groups=Mapping("roles", "g:"),
        uid=Mapping("id"),
        extra=(("e.example/t", compile_claims("[claims.tenant]", "x", "texts")),),
    )
    assert (found.groups, found.uid, found.extra) == (("g:a", "g:b"), "7", {"e.example/t": ("t",)})
    assert user({"roles": "one"}, groups=Mapping("roles")).groups == ("one",)
    assert user({}, groups=Mapping("roles")).groups == ()


def test_expressions_make_names_and_groups():
    name = compile_claims("claims.sub + '@' + claims.realm", "x", "string")
    groups = compile_claims("claims.roles.filter(r, r != 'none')", "x", "texts")
    found = user({"realm": "r", "roles": ["a", "none"]}, username=Mapping(expression=name), groups=Mapping(expression=groups))
    assert (found.name, found.groups) == ("alice@r", ("a",))


@pytest.mark.parametrize(
    ("claims", "settings"),
    [
        ({}, {"claim_rules": (Rule("hd", "x"),)}),
        ({"hd": ["x"]}, {"claim_rules": (Rule("hd", "x"),)}),
        ({"admin": False}, {"claim_rules": (Rule(expression=compile_claims("claims.admin", "x", "bool")),)}),
        ({}, {"claim_rules": (Rule(expression=compile_claims("claims.admin", "x", "bool")),)}),
        ({}, {"user_rules": (Rule(expression=compile_user("user.username != 'alice'", "x")),)}),
        ({"email": "a@b", "email_verified": False}, {"username": Mapping("email")}),
        ({"email": "a@b", "email_verified": "true"}, {"username": Mapping("email")}),
        ({"roles": [1]}, {"groups": Mapping("roles")}),
    ],
)
def test_claims_against_the_rules_make_no_user(claims, settings):
    with pytest.raises(K3pyError):
        user(claims, **settings)
