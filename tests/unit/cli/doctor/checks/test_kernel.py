"""The doctor's looks at the kernel, each on a machine with one fault."""

import pytest

from k3py.cli.doctor.checks.kernel import check_cgroups, check_kernel, check_limits
from tests.support.examined_machine import FILES, make_machine, remove, write


def levels(findings):
    return [one.level for one in findings]


def test_a_healthy_machine_is_fine(tmp_path):
    machine = make_machine(tmp_path)
    for check in (check_kernel, check_cgroups, check_limits):
        assert levels(check(machine)) == ["ok"]


@pytest.mark.parametrize("part", ["VETH", "NF_TABLES", "BRIDGE"])
def test_a_missing_part_of_the_kernel_names_the_module_that_mends_it(tmp_path, part):
    machine = make_machine(tmp_path)
    config = FILES["/boot/config-6.1.0-arm64"].replace(f"CONFIG_{part}=m", f"# CONFIG_{part} is not set")
    write(tmp_path, "/boot/config-6.1.0-arm64", config)
    (found,) = check_kernel(machine)
    assert (found.level, found.found) == ("error", f"CONFIG_{part} is missing in Linux 6.1.0-arm64")
    assert found.mend.startswith(f"modprobe {part.lower()}")


def test_vxlan_is_asked_for_only_where_it_is_used(tmp_path):
    config = FILES["/boot/config-6.1.0-arm64"].replace("CONFIG_VXLAN=m\n", "")
    machine = make_machine(tmp_path)
    write(tmp_path, "/boot/config-6.1.0-arm64", config)
    assert levels(check_kernel(machine)) == ["warning"]
    machine = make_machine(tmp_path, "server", "--flannel-backend=host-gw")
    write(tmp_path, "/boot/config-6.1.0-arm64", config)
    assert levels(check_kernel(machine)) == ["ok"]


def test_an_old_kernel_is_told(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/sys/kernel/osrelease", "4.4.0-rk3399")
    assert "4.19 or newer" in next(iter(check_kernel(machine))).why


def test_a_kernel_that_shows_no_configuration_is_judged_by_its_modules(tmp_path):
    machine = make_machine(tmp_path)
    remove(tmp_path, "/boot/config-6.1.0-arm64")
    assert levels(check_kernel(machine)) == ["ok"]  # nothing is known: nothing is claimed
    modules = "".join(f"kernel/{one}.ko.xz:\n" for one in ("bridge", "nf_tables", "nf_nat", "nf_conntrack", "vxlan"))
    write(tmp_path, "/lib/modules/6.1.0-arm64/modules.dep", modules)
    assert [one.found for one in check_kernel(machine)] == ["CONFIG_VETH is missing in Linux 6.1.0-arm64"]


def test_memory_off_in_version_2_names_the_kernel_command_line(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids")
    (found,) = check_cgroups(machine)
    assert found.level == "error"
    assert "cgroup_enable=memory" in found.mend


def test_version_1_counts_what_is_mounted(tmp_path):
    machine = make_machine(tmp_path)
    names = ("cpu", "cpuset", "memory", "pids")
    write(tmp_path, "/proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n" + "".join(f"{n}\t1\t1\t1\n" for n in names))
    mounts = "".join(f"cgroup /sys/fs/cgroup/{n} cgroup rw,{n} 0 0\n" for n in names)
    write(tmp_path, "/proc/self/mounts", mounts)
    assert levels(check_cgroups(machine)) == ["ok"]
    write(tmp_path, "/proc/self/mounts", mounts.replace("cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n", ""))
    assert [one.found for one in check_cgroups(machine)] == ["version 1: the controller pids is off"]


def test_no_control_groups_at_all(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/self/mounts", "proc /proc proc rw 0 0\n")
    assert levels(check_cgroups(machine)) == ["error"]
    assert levels(check_cgroups(make_machine(tmp_path, "server", "--disable-agent"))) == []


def test_limits_and_forwarding(tmp_path):
    machine = make_machine(tmp_path, pid=1)
    write(tmp_path, "/proc/sys/net/ipv4/ip_forward", "0")
    write(tmp_path, "/proc/sys/fs/inotify/max_user_instances", "128")
    assert levels(check_limits(machine)) == ["error", "warning"]
