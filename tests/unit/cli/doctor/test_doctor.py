"""`k3py doctor` as a command: output and exit code."""

import json

import pytest
import yaml

from k3py.cli import doctor
from k3py.cli.doctor import run
from k3py.cli.doctor.examination import CHECKS, examine
from k3py.cli.doctor.finding import error, fine, warning
from tests.support.examined_machine import make_machine


@pytest.fixture(autouse=True)
def _config(monkeypatch, tmp_path):
    (tmp_path / "config.yaml").write_text("")
    monkeypatch.setenv("K3PY_CONFIG_FILE", str(tmp_path / "config.yaml"))
    monkeypatch.delenv("K3PY_URL", raising=False)


def test_the_exit_code_says_whether_something_is_wrong(monkeypatch, capsys, tmp_path):
    found = [fine("kernel", "good"), warning("clock", "late", "because", "turn it")]
    monkeypatch.setattr(doctor, "examine", lambda _: found)
    assert run(["server", f"--data-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok       kernel        good",
        "warning  clock         late",
        "                        why:  because",
        "                        mend: turn it",
        "0 wrong, 1 to look at, 1 fine",
    ]
    found.append(error("disk", "full", "no room", "rm it"))
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert run(["server", f"--data-dir={tmp_path}", "-o", output]) == 1
        document = read(capsys.readouterr().out)
        assert (document["errors"], document["warnings"]) == (1, 1)
        assert document["findings"][2] == {"check": "disk", "level": "error", "found": "full", "why": "no room", "mend": "rm it"}


def test_settings_that_cannot_be_read_are_a_finding_and_the_rest_is_still_looked_at(monkeypatch, capsys, tmp_path):
    (tmp_path / "config.yaml").write_text("https-listen-port: 99999\n")
    monkeypatch.setattr(doctor, "examine", lambda machine: [fine("port", str(machine.values["https_listen_port"]))])
    assert run(["server"]) == 1
    out = capsys.readouterr().out
    assert "99999" in out
    assert "6443" in out


def test_what_may_not_be_read_is_told(tmp_path, monkeypatch):
    machine = make_machine(tmp_path)

    def refuse(self):
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(type(machine), "processes", refuse)
    found = [one for one in examine(machine) if "Permission denied" in one.found]
    assert found
    assert all(one.mend == "run k3py doctor as root" for one in found)


def test_every_check_tells_something_about_a_bare_machine(tmp_path):
    machine = make_machine(tmp_path)
    silent = [check.__name__ for check in CHECKS if not list(check(machine))]
    assert silent == ["check_programs"]  # it looks at this machine's own search path only
