"""The doctor's looks at certificates and the datastore."""

import socket
import sqlite3

import pytest

from k3py.cli.doctor.checks.state import check_certificates, check_datastore
from k3py.datastore.factory import open_backend
from k3py.pki.layout import pki_paths, server_leaves
from k3py.pki.provision import ensure_authorities, ensure_leaves
from k3py.util import clock
from tests.support.examined_machine import make_machine, write


def test_certificates_that_ended_or_cannot_be_read(tmp_path, monkeypatch):
    machine = make_machine(tmp_path)
    assert [one.found for one in check_certificates(machine)] == ["none yet"]
    paths = pki_paths(machine.data_dir)
    ensure_leaves(ensure_authorities(paths), server_leaves(paths, names=(), service_ip="10.43.0.1", cluster_domain="cluster.local"))
    assert [one.level for one in check_certificates(machine)] == ["ok"]
    later = clock.now().replace(year=clock.now().year + 2)
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: later)
        assert {one.level for one in check_certificates(machine)} == {"error"}
    write(tmp_path, "/var/lib/k3py/server/tls/client-ca.crt", "not PEM")
    (found,) = check_certificates(machine)
    assert "client-ca.crt: is no certificate" in found.found


async def test_a_whole_database_and_a_damaged_one(tmp_path):
    machine = make_machine(tmp_path)
    assert [one.level for one in check_datastore(machine)] == ["ok"]
    async with open_backend("", data_dir=machine.data_dir / "server"):
        pass
    (found,) = check_datastore(machine)
    assert found.level == "ok"
    assert "whole" in found.found
    file = machine.data_dir / "server/db/state.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    (found,) = check_datastore(machine)
    assert "written by a newer k3py" in found.found
    file.write_bytes(b"x" * 8192)
    (found,) = check_datastore(machine)
    assert found.level == "error"
    assert "--cluster-reset-restore-path" in found.mend


def test_a_database_of_another_process_that_does_not_answer(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        endpoint = f"--datastore-endpoint=postgres://u:secret@127.0.0.1:{port}/k3py"
        machine = make_machine(tmp_path, "server", endpoint)
        (found,) = check_datastore(machine)
        assert (found.level, found.found) == ("error", f"127.0.0.1:{port}: Connection refused")
        taken.listen()
        (found,) = check_datastore(machine)
        assert (found.level, found.found) == ("ok", f"127.0.0.1:{port} answers")


@pytest.mark.parametrize("endpoint", ["postgres://u:secret@h:99999/k3py", "sqlite://relative"])
def test_a_misspelt_endpoint_is_told_without_its_password(tmp_path, endpoint):
    (found,) = check_datastore(make_machine(tmp_path, "server", f"--datastore-endpoint={endpoint}"))
    assert found.level == "error"
    assert "secret" not in found.found
