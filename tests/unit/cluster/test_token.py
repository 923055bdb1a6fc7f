"""Join tokens (J-01 to J-06, acceptance 2)."""

import hashlib
import stat

import pytest

from k3py.cluster.token import parse_token, read_password, write_agent_token, write_server_token
from k3py.errors import ConfigError

CA = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def test_a_token_pins_the_bytes_of_the_ca_file_and_is_kept(tmp_path):
    assert read_password(tmp_path) == ""
    text = write_server_token(tmp_path, CA, "right")
    token = parse_token(text)
    assert token.ca_hash == hashlib.sha256(CA).hexdigest()
    assert (token.user, token.password) == ("server", "right")
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    written = (tmp_path / "token").stat().st_ino
    assert write_server_token(tmp_path, CA, read_password(tmp_path)) == text
    assert (tmp_path / "token").stat().st_ino == written
    assert (tmp_path / "node-token").read_text().strip() == text


def test_agents_have_the_servers_token_or_one_of_their_own(tmp_path):
    write_server_token(tmp_path, CA, "right")
    for _ in range(2):
        write_agent_token(tmp_path, CA, "")
        assert (tmp_path / "agent-token").read_text() == (tmp_path / "token").read_text()
        write_agent_token(tmp_path, CA, "for-agents")
        token = parse_token((tmp_path / "agent-token").read_text().strip())
        assert (token.user, token.password) == ("node", "for-agents")
    assert stat.S_IMODE((tmp_path / "agent-token").stat().st_mode) == 0o600
    assert read_password(tmp_path) == "right"


@pytest.mark.parametrize("text", ["", "K10abc::server:x", f"K10{'a' * 64}::server:", "K10"])
def test_malformed_tokens_are_refused(text):
    with pytest.raises(ConfigError):
        parse_token(text)


def test_the_short_form_has_no_hash():
    assert parse_token("secret").ca_hash == ""
