"""The doctor's looks at names and the firewall."""

import json

import pytest

from k3py.cli.doctor.checks.network import check_firewall, check_names
from k3py.cli.machine import Machine
from tests.support.examined_machine import make_machine, write


@pytest.mark.parametrize(
    ("file", "text", "level", "found"),
    [
        ("/etc/resolv.conf", "", "warning", "names no name server"),
        ("/etc/resolv.conf", "nameserver 10.43.0.10\n", "error", "an address of the cluster's own Services"),
        ("/etc/resolv.conf", "nameserver 192.0.2.1\n" * 4, "warning", "names 4 name servers"),
        ("/etc/hosts", "127.0.1.1 roof\n", "warning", "does not say what localhost is"),
        ("/proc/sys/kernel/hostname", "my_roof", "error", "cannot be a node's"),
        ("/proc/sys/kernel/hostname", "localhost", "warning", "the host name is localhost"),
    ],
)
def test_names(tmp_path, file, text, level, found):
    machine = make_machine(tmp_path)
    assert [one.level for one in check_names(machine)] == ["ok"]
    write(tmp_path, file, text)
    (one,) = check_names(machine)
    assert one.level == level
    assert found in one.found


def test_firewalls_of_others_with_the_commands_that_open_them(tmp_path, monkeypatch):
    machine = make_machine(tmp_path, "server", "--cluster-cidr=10.99.0.0/16")
    assert [one.level for one in check_firewall(machine)] == ["ok"]
    write(tmp_path, "/etc/ufw/ufw.conf", "ENABLED=yes\n")
    (found,) = check_firewall(machine)
    assert "ufw allow from 10.99.0.0/16" in found.mend
    write(tmp_path, "/etc/ufw/ufw.conf", "ENABLED=no\n")
    write(tmp_path, "/proc/9/cmdline", "/usr/bin/python3\0/usr/sbin/firewalld\0")
    (found,) = check_firewall(machine)
    assert "--add-source=10.99.0.0/16" in found.mend
    write(tmp_path, "/proc/9/cmdline", "")
    chain = {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "drop"}
    own = {"family": "inet", "table": "k3py", "name": "x", "hook": "forward", "policy": "drop"}
    monkeypatch.setattr(Machine, "ask", lambda *_: json.dumps({"nftables": [{"chain": chain}, {"chain": own}]}))
    (found,) = check_firewall(machine)
    assert found.found.startswith("chain input of nft table inet filter drops by default")
