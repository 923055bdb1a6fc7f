"""`k3py token` without a server: what is refused, and how times are shown."""

import datetime as dt

import pytest

from k3py.cli import token
from k3py.cluster.bootstrap_token import BootstrapToken, is_bootstrap_token
from k3py.errors import ConfigError, K3pyError

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_generate_prints_a_token(capsys):
    assert token.run(["generate"]) == 0
    assert is_bootstrap_token(capsys.readouterr().out.strip())


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "create|delete|generate|list|rotate"),
        (["create", "--ttl", "soon"], "--ttl: 'soon'"),
        (["create", "--ttl=-1h"], "--ttl: '-1h'"),
        (["create", "--usages", "flying"], "--usages: 'flying'"),
        (["create", "--groups", "system:masters"], "--groups: 'system:masters'"),
        (["create", "nonsense"], "6 and 16 characters"),
        (["delete", "nonsense"], "a token or its id"),
        (["delete"], "TOKEN"),
        (["list", "-o", "xml"], "--output"),
        (["create", "--data-dir=/nowhere"], "--data-dir: '/nowhere': is not a server's"),
    ],
)
def test_bad_input_names_the_flag_and_what_is_allowed(arguments, fault):
    with pytest.raises(ConfigError) as caught:
        token.run(arguments)
    assert fault in str(caught.value)


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path):
    with pytest.raises(K3pyError, match="absent"):
        token.run(["list", "--kubeconfig", str(tmp_path / "absent")])


@pytest.mark.parametrize(
    ("left_s", "shown"),
    [(None, "<forever>"), (-1, "<expired>"), (59, "59s"), (61, "1m"), (7300, "2h")],
)
def test_the_time_that_is_left(left_s, shown):
    ends = None if left_s is None else NOW + dt.timedelta(seconds=left_s)
    assert token._left(BootstrapToken(token_id="a" * 6, secret="b" * 16, ends=ends), NOW) == shown
