"""Sealing by the token's password (J-70, J-71; acceptance 8)."""

import hashlib
import re

import pytest

from k3py.cluster.bootstrap_data.document import BadBootstrapData
from k3py.cluster.bootstrap_data.sealing import key_for, seal, unseal

SEALED = b"0123456789abcdef:AAECAwQFBgcICQoLiSZECgSTFC5MLYEs3tc7Qih1qQFHsyxfdRPMnPukYNjl"
"""Of b'{"ServerCA":null}' by "secret", made with hashlib and AESGCM by hand."""


def test_a_value_that_was_sealed_by_hand_opens():
    assert unseal("secret", SEALED) == b'{"ServerCA":null}'


def test_what_is_sealed_opens_with_the_same_password_only():
    sealed = seal("secret", b"plain")
    assert re.fullmatch(rb"[0-9a-f]{16}:[A-Za-z0-9+/]+=*", sealed)
    assert unseal("secret", sealed) == b"plain"
    with pytest.raises(BadBootstrapData, match="another token"):
        unseal("Secret", sealed)
    assert seal("secret", b"plain") != sealed


@pytest.mark.parametrize("value", [b"", b"nonsense", b"0123:?", b"\xff:eA==", SEALED[:-8] + b"AAAAAAA="])
def test_damage_is_named(value):
    with pytest.raises(BadBootstrapData):
        unseal("secret", value)


def test_the_key_is_named_by_the_password():
    assert key_for("secret") == b"/bootstrap/" + hashlib.sha256(b"secret").hexdigest()[:12].encode()
