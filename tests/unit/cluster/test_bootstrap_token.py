"""Tokens for agents, as Secrets (J-08)."""

import base64
import datetime as dt

import pytest

from k3py.cluster.bootstrap_token import (
    DEFAULT_GROUP,
    BootstrapToken,
    generate,
    is_bootstrap_token,
    make_token,
    read_secret,
    secret_name,
)
from k3py.errors import ConfigError

ENDS = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
TEXT = "abc123.0123456789abcdef"


def token_of(text=TEXT, *, usages=("authentication",), groups=(DEFAULT_GROUP,), ends=ENDS):
    return make_token(text, description="shed", ends=ends, usages=usages, groups=groups)


def test_a_generated_token_has_the_form_of_one():
    assert is_bootstrap_token(generate())
    assert generate() != generate()


def test_a_secret_is_kubeadms_and_comes_back():
    secret = token_of().to_secret()
    assert (secret["metadata"]["name"], secret["type"]) == ("bootstrap-token-abc123", "bootstrap.kubernetes.io/token")
    assert {name: base64.b64decode(value).decode() for name, value in secret["data"].items()} == {
        "token-id": "abc123",
        "token-secret": "0123456789abcdef",
        "auth-extra-groups": DEFAULT_GROUP,
        "usage-bootstrap-authentication": "true",
        "description": "shed",
        "expiration": "2026-01-02T03:04:05Z",
    }
    assert read_secret(secret) == token_of()
    assert read_secret(token_of(ends=None).to_secret()).ends is None


@pytest.mark.parametrize("text", ["", "abc", "ABC123.0123456789abcdef", "abc123.short", f"{TEXT}\n"])
def test_other_texts_are_no_tokens_and_are_not_repeated(text):
    with pytest.raises(ConfigError) as caught:
        token_of(text)
    assert not text or text not in str(caught.value)


def test_usages_and_groups_are_checked():
    with pytest.raises(ConfigError, match="--usages: 'flying': must be of signing, authentication"):
        token_of(usages=("flying",))
    with pytest.raises(ConfigError, match="--groups: 'system:masters': must begin with system:bootstrappers:"):
        token_of(groups=("system:masters",))


@pytest.mark.parametrize("text", ["abc123", TEXT, f"K10{'a' * 64}::{TEXT}"])
def test_a_secret_is_found_by_id_or_token(text):
    assert secret_name(text) == "bootstrap-token-abc123"


@pytest.mark.parametrize("text", ["", "ab", "abc123.x", "K10::server:password"])
def test_what_names_no_token_is_refused(text):
    with pytest.raises(ConfigError):
        secret_name(text)


def test_a_secret_that_is_none_is_left_out_and_none_shows_in_a_representation():
    assert read_secret({"type": "Opaque", "data": {}}) is None
    assert read_secret({"type": "bootstrap.kubernetes.io/token", "data": {"token-id": "?"}}) is None
    assert "0123456789abcdef" not in repr(BootstrapToken(token_id="abc123", secret="0123456789abcdef"))
