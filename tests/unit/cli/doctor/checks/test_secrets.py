"""The doctor's look at secrets."""

import pytest

from k3py.cli.doctor.checks.secrets import check_secrets
from tests.support.examined_machine import make_machine, write


@pytest.mark.parametrize(
    "name",
    [
        "/var/lib/k3py/server/tls/server-ca.key",
        "/var/lib/k3py/server/token",
        "/var/lib/k3py/server/db/state.db",
        "/var/lib/k3py/agent/client-kubelet.key",
        "/etc/k3py/node/password",
    ],
)
def test_what_others_can_read_is_an_error(tmp_path, name):
    machine = make_machine(tmp_path)
    write(tmp_path, name, "K10" + "0" * 64 + "::server:x")
    path = tmp_path / name.lstrip("/")
    path.chmod(0o600)
    assert [one.level for one in check_secrets(machine)] == ["ok"]
    path.chmod(0o640)
    (found,) = check_secrets(machine)
    assert (found.level, found.mend) == ("error", f"chmod 600 {path}")


def test_a_configuration_with_a_token_that_others_can_read(tmp_path):
    config = tmp_path / "etc/k3py/config.yaml"
    write(tmp_path, "/etc/k3py/config.yaml", "token: abc\n")
    config.chmod(0o644)
    machine = make_machine(tmp_path)
    assert [one.mend for one in check_secrets(machine)] == [f"chmod 600 {config}"]


@pytest.mark.parametrize(
    ("flags", "level", "text"),
    [
        ((), "error", "no token is given"),
        (("--token=K10abc::node:x",), "error", "must be K10<64 hexadecimal digits>"),
        (("--token=simple",), "warning", "short form"),
        (("--token=K10" + "0" * 64 + "::node:x",), "ok", ""),
    ],
)
def test_an_agents_token(tmp_path, flags, level, text):
    (found,) = check_secrets(make_machine(tmp_path, "agent", *flags))
    assert found.level == level
    assert text in found.found


def test_a_kubeconfig_for_everybody(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/etc/k3py/k3py.yaml", "x")
    (tmp_path / "etc/k3py/k3py.yaml").chmod(0o644)
    assert [one.level for one in check_secrets(machine)] == ["warning"]
