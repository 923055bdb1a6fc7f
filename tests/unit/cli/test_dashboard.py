"""`k3py dashboard`: what its command line takes."""

from __future__ import annotations

import pytest

from k3py.cli.dashboard import run
from k3py.errors import ConfigError, K3pyError


@pytest.mark.parametrize("given", ["1m", "721h", "soon", "-1h", ""])
def test_a_time_that_no_token_can_be_good_for_is_named_with_what_is_allowed(given):
    with pytest.raises(ConfigError, match=r"--duration='.*': must be a time from 10m to 720h"):
        run([f"--duration={given}"])


def test_without_a_kubeconfig_it_says_which_one_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(K3pyError, match=r"none\.yaml"):
        run([])
