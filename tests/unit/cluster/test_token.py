"""Join tokens (J-01 to J-06, acceptance 2)."""

import hashlib
import stat

import pytest

from k3py.cluster.token import ensure_server_token, parse_token
from k3py.errors import ConfigError

CA = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def test_a_new_token_pins_the_bytes_of_the_ca_file_and_is_kept(tmp_path):
    text = ensure_server_token(tmp_path, CA, "")
    token = parse_token(text)
    assert token.ca_hash == hashlib.sha256(CA).hexdigest()
    assert token.user == "server"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert ensure_server_token(tmp_path, CA, "") == text == ensure_server_token(tmp_path, CA, token.password)
    assert (tmp_path / "node-token").read_text().strip() == text


def test_another_token_for_the_same_data_is_refused_without_showing_either(tmp_path):
    ensure_server_token(tmp_path, CA, "right")
    with pytest.raises(ConfigError) as caught:
        ensure_server_token(tmp_path, CA, "wrong")
    assert "right" not in str(caught.value)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "K10abc::server:x", f"K10{'a' * 64}::server:", "K10"])
def test_malformed_tokens_are_refused(text):
    with pytest.raises(ConfigError):
        parse_token(text)


def test_the_short_form_has_no_hash():
    assert parse_token("secret").ca_hash == ""
