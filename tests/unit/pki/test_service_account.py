"""Tokens: signed by us, for the right audience, not expired (L-21)."""

import time

import pytest

from k3py.pki.errors import InvalidToken, PkiError
from k3py.pki.service_account import ServiceAccountKeys, make_service_account_key

ISSUER = "https://kubernetes.default.svc.cluster.local"


@pytest.fixture(scope="module")
def pem():
    return make_service_account_key()


@pytest.fixture
def keys(pem):
    return ServiceAccountKeys(pem, issuer=ISSUER)


def claims(**changes):
    now = int(time.time())
    base = {"iss": ISSUER, "sub": "system:serviceaccount:a:b", "aud": ["api"], "iat": now, "exp": now + 60}
    return base | changes


def test_a_signed_token_verifies(keys):
    assert keys.verify(keys.sign(claims()), audiences=["api"])["sub"] == "system:serviceaccount:a:b"


@pytest.mark.parametrize(
    "change", [{"exp": 1}, {"aud": ["other"]}, {"iss": "https://elsewhere"}], ids=["expired", "audience", "issuer"]
)
def test_a_wrong_claim_is_refused(keys, change):
    with pytest.raises(InvalidToken):
        keys.verify(keys.sign(claims(**change)), audiences=["api"])


def test_a_token_of_another_key_or_a_changed_one_is_refused(keys):
    other = ServiceAccountKeys(make_service_account_key(), issuer=ISSUER)
    token = keys.sign(claims())
    head, body, signature = token.split(".")
    for bad in (other.sign(claims()), f"{head}.{body}.{signature[::-1]}", "nonsense", ""):
        with pytest.raises(InvalidToken):
            keys.verify(bad, audiences=["api"])


def test_the_key_set_names_the_id_in_the_header(keys):
    import jwt

    assert jwt.get_unverified_header(keys.sign(claims()))["kid"] == keys.jwks()["keys"][0]["kid"]


def test_garbage_is_named(tmp_path):
    with pytest.raises(PkiError, match="here"):
        ServiceAccountKeys(b"garbage", issuer=ISSUER, source="here")


def test_tokens_of_a_former_issuer_stay_good_and_new_ones_are_of_the_new():
    pem = make_service_account_key()
    claims = {"aud": "a", "sub": "s", "iat": 1, "exp": 4e9}
    old = ServiceAccountKeys(pem, issuer="https://old")
    token = old.sign({**claims, "iss": old.issuer})
    new = ServiceAccountKeys(pem, issuer="https://new", formerly=["https://old"])
    assert new.is_ours(token)
    assert new.verify(token, audiences=["a"])["iss"] == "https://old"
    assert new.issuer == "https://new"
    stranger = ServiceAccountKeys(pem, issuer="https://new")
    assert not stranger.is_ours(token)
    with pytest.raises(InvalidToken):
        stranger.verify(token, audiences=["a"])
