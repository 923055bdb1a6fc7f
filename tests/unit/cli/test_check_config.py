"""`k3py check-config`: sections, states and the exit code."""

import gzip

import pytest

from k3py.cli.check_config import _NEEDED, Report, run
from k3py.cli.kernel_config import KernelConfig
from k3py.errors import K3pyError
from tests.support.examined_machine import make_machine, write


@pytest.fixture
def machine(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/sys/kernel/keys/root_maxkeys", "1000000")
    write(tmp_path, "/boot/config-6.1.0-arm64", "".join(f"CONFIG_{name}=y\n" for name in _NEEDED) + "CONFIG_VXLAN=m\n")
    return machine


def report(machine):
    lines = []
    failures = Report(machine, KernelConfig.of(machine), lines.append).write()
    return failures, "\n".join(line for line in lines if not line.startswith(("- containerd", "- runc", "- nft", "- ip", "- CNI")))


def test_a_good_machine_passes(machine, monkeypatch):
    monkeypatch.setattr("k3py.cli.check_config.get_program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("k3py.cli.check_config.get_cni_dir", lambda: "/usr/lib/cni")
    failures, text = report(machine)
    assert failures == 0
    assert text.endswith("STATUS: pass")
    assert "- cgroup hierarchy: cgroups V2 mounted, cpu|cpuset|memory|pids controllers status: good" in text
    assert "- CONFIG_NAMESPACES: enabled\n" in text
    assert "    - CONFIG_VXLAN: enabled (as module)" in text
    assert "- CONFIG_CGROUP_PERF: missing\n" in text  # optional: no failure


def test_failures_are_counted(machine, tmp_path, monkeypatch):
    monkeypatch.setattr("k3py.cli.check_config.get_program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("k3py.cli.check_config.get_cni_dir", lambda: "/usr/lib/cni")
    write(tmp_path, "/boot/config-6.1.0-arm64", "".join(f"CONFIG_{name}=y\n" for name in _NEEDED if name != "KEYS"))
    write(tmp_path, "/sys/fs/cgroup/cgroup.controllers", "cpu")
    write(tmp_path, "/proc/sys/kernel/keys/root_maxkeys", "200")
    write(tmp_path, "/proc/swaps", "Filename\n/swap file\n")
    write(tmp_path, "/proc/net/route", "Iface\tDestination\nwg0\t00002A0A\n")
    failures, text = report(machine)
    assert failures == 3
    assert text.endswith("STATUS: 3 (fail)")
    assert "- CONFIG_KEYS: missing (fail)" in text
    assert "- swap: should be disabled" in text
    assert "already routed" in text


def test_a_named_file_is_read_packed_or_not(tmp_path, capsys):
    file = tmp_path / "config.gz"
    file.write_bytes(gzip.compress(b"CONFIG_NAMESPACES=y\n# CONFIG_VETH is not set\n"))
    assert run([str(file)]) > 0
    out = capsys.readouterr().out
    assert f"info: reading kernel config from {file} ..." in out
    assert "- CONFIG_NAMESPACES: enabled" in out
    assert "- CONFIG_VETH: missing (fail)" in out
    with pytest.raises(K3pyError, match="is no kernel configuration"):
        run([str(tmp_path / "nothing")])
