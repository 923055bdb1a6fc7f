"""The doctor's look at the server."""

import email.utils

from k3py.cli.doctor.checks import server
from k3py.cli.doctor.checks.server import check_server
from k3py.cluster.token import hash_ca
from k3py.util import clock
from tests.support.examined_machine import make_machine

CA = b"-----BEGIN CERTIFICATE-----\n"


def test_a_server_that_does_not_run_and_an_agent_without_one(tmp_path):
    assert [one.found for one in check_server(make_machine(tmp_path))] == ["k3py does not run"]
    assert [one.found for one in check_server(make_machine(tmp_path, "agent"))] == ["no server is named"]


def test_a_server_that_cannot_be_reached(tmp_path, monkeypatch):
    def refuse(*_):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(server, "_ask", refuse)
    (found,) = check_server(make_machine(tmp_path, "agent", "--server=https://192.0.2.1:6443"))
    assert (found.level, found.found) == ("error", "https://192.0.2.1:6443: Connection refused")


def test_another_server_and_another_clock(tmp_path, monkeypatch):
    machine = make_machine(tmp_path, "agent", "--server=https://192.0.2.1:6443", f"--token=K10{hash_ca(CA)}::node:x")
    for ca, shift_s, level in ((CA, 0, "ok"), (b"other", 0, "error"), (CA, 3600, "warning")):
        date = email.utils.formatdate(clock.wall_s() + shift_s, usegmt=True)
        monkeypatch.setattr(server, "_ask", lambda *_, ca=ca, date=date: (ca, date))
        assert [one.level for one in check_server(machine)] == [level]
