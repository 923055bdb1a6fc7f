"""The doctor's looks at what else is on the machine."""

import os

import pytest

from k3py.cli.doctor.checks.neighbours import check_neighbours, check_ports
from tests.support.examined_machine import make_machine, write

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def listening(port, state="0A", inode=77):
    return f"{HEAD}   0: 00000000:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"


def test_a_port_that_is_taken_names_its_holder(tmp_path):
    machine = make_machine(tmp_path)
    assert [one.level for one in check_ports(machine)] == ["ok"]
    write(tmp_path, "/proc/net/tcp", listening(6443))
    write(tmp_path, "/proc/41/comm", "nginx")
    (tmp_path / "proc/41/fd").mkdir()
    os.symlink("socket:[77]", tmp_path / "proc/41/fd/3")
    (found,) = check_ports(machine)
    assert found.found == "port 6443 (--https-listen-port) is taken by nginx (process 41)"
    assert found.level == "error"


def test_a_connection_is_no_listener_and_the_own_process_no_stranger(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/net/tcp", listening(6443, state="01"))
    assert [one.level for one in check_ports(machine)] == ["ok"]
    write(tmp_path, "/proc/net/tcp", listening(6443))
    assert [one.level for one in check_ports(make_machine(tmp_path, pid=12))] == ["ok"]


def test_ports_of_udp_and_of_version_6(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/net/udp", listening(8472, state="07"))
    write(tmp_path, "/proc/net/tcp6", f"{HEAD}   0: {'0' * 32}:{10250:04X} {'0' * 32}:0000 0A 0:0 0:0 0 0 0 5 1\n")
    assert [one.level for one in check_ports(machine)] == ["error", "error"]


@pytest.mark.parametrize("program", ["/usr/bin/kubelet", "/usr/local/bin/k3s"])
def test_another_kubelet(tmp_path, program):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/7/cmdline", f"{program}\0server\0")
    (found,) = check_neighbours(machine)
    assert found.level == "error"
    assert "process 7" in found.found


def test_what_another_kubernetes_left(tmp_path):
    machine = make_machine(tmp_path)
    assert [one.level for one in check_neighbours(machine)] == ["ok"]
    (tmp_path / "etc/rancher/k3s").mkdir(parents=True)
    (found,) = check_neighbours(machine)
    assert (found.level, found.found) == ("warning", "/etc/rancher/k3s is there: K3s is or was installed")
