"""Goals and durations of the built-in kubectl's `wait`."""

import pytest

from k3py.cli.kubectl.wait import _read_goal, read_duration
from k3py.errors import ConfigError

READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("90", 90), ("0", 0)])
def test_durations(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1.5.s"])
def test_no_durations(text):
    with pytest.raises(ConfigError, match="must be a duration"):
        read_duration(text)


def test_goals_compare_conditions_without_case():
    assert _read_goal("condition=ready")(READY)
    assert not _read_goal("condition=Ready=False")(READY)
    assert not _read_goal("condition=Ready")({})
    assert _read_goal("create")({})
