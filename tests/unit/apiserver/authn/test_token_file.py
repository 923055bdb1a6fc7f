"""--token-auth-file."""

import pytest

from k3py.apiserver.authn.static_token import StaticTokenAuthenticator
from k3py.apiserver.authn.token_file import load_token_file
from k3py.apiserver.interface import Credentials
from k3py.errors import ConfigError


async def test_lines_name_users(tmp_path):
    file = tmp_path / "tokens.csv"
    file.write_text('secret1,alice,1,"dev,ops"\n\nsecret2,bob,2\n')
    authenticator = StaticTokenAuthenticator(load_token_file(file))
    alice = await authenticator.authenticate(Credentials(bearer="secret1"))
    assert (alice.name, alice.uid, alice.groups) == ("alice", "1", ("dev", "ops"))
    assert (await authenticator.authenticate(Credentials(bearer="secret2"))).groups == ()
    assert await authenticator.authenticate(Credentials(bearer="secret")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hunter2,alice", "line 1: must be token,user,uid"),
        ("a,b,c\nhunter2,,x", "line 2: token and user must not be empty"),
        ("hunter2,a,1\nhunter2,b,2", "line 2: holds a token that stands there twice"),
        (b"\xff", "is not CSV"),
        (None, "No such file"),
    ],
)
def test_faults_name_the_line_and_never_the_token(tmp_path, text, words):
    file = tmp_path / "tokens.csv"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_token_file(file)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
