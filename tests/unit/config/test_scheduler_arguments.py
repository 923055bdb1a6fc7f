"""--kube-scheduler-arg: what k3py honours, and nothing else."""

from pathlib import Path

import pytest

from k3py.config.scheduler_arguments import parse_scheduler_arguments
from k3py.errors import ConfigError


def test_the_last_file_counts():
    assert parse_scheduler_arguments([]).config is None
    assert parse_scheduler_arguments(["config=/a", "--config=/b"]).config == Path("/b")


@pytest.mark.parametrize("given", ["config", "config=", "v=4", "leader-elect=false"])
def test_anything_else_is_refused_by_name(given):
    with pytest.raises(ConfigError, match=given.partition("=")[0]):
        parse_scheduler_arguments([given])
