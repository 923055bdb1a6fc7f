"""The doctor's look at the clock."""

import datetime as dt
import os

import pytest

from k3py.cli.doctor.checks.time import check_clock
from k3py.util import clock
from tests.support.examined_machine import make_machine, write

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("now", "level"), [(NOW, "ok"), (NOW.replace(year=1970), "error"), (NOW.replace(year=2099), "error")]
)
def test_a_clock_of_another_age(tmp_path, monkeypatch, now, level):
    monkeypatch.setattr(clock, "now", lambda: now)
    assert [one.level for one in check_clock(make_machine(tmp_path))] == [level]


def test_a_clock_that_went_back(tmp_path, monkeypatch):
    machine = make_machine(tmp_path)
    write(tmp_path, "/var/lib/k3py/server/db/state.db", "")
    os.utime(tmp_path / "var/lib/k3py/server/db/state.db", (NOW.timestamp() + 3600,) * 2)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    (found,) = check_clock(machine)
    assert found.level == "error"
    assert "was written at 2026-05-01 13:00" in found.found
