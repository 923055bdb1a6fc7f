"""The doctor's looks at memory and disk."""

import os

import pytest

from k3py.cli.doctor.checks import resources
from k3py.cli.doctor.checks.resources import check_disk, check_memory, check_speed, check_wear
from k3py.cli.machine import Machine
from tests.support.examined_machine import make_machine, write


def found(findings):
    return [(one.level, one.found) for one in findings if one.level != "ok"]


def test_a_healthy_machine_is_fine(tmp_path, monkeypatch):
    plenty = os.statvfs_result((4096, 4096, 1 << 22, 1 << 21, 1 << 21, 1000, 900, 900, 0, 255))
    monkeypatch.setattr(resources.os, "statvfs", lambda _: plenty)
    machine = make_machine(tmp_path)
    for check in (check_memory, check_disk, check_speed, check_wear):
        (one,) = check(machine)
        assert one.level == "ok", one


@pytest.mark.parametrize(
    ("total", "free", "level"), [(256, 200, "error"), (450, 300, "warning"), (2000, 60, "error"), (2000, 900, None)]
)
def test_memory(tmp_path, total, free, level):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/meminfo", f"MemTotal: {total * 1024} kB\nMemAvailable: {free * 1024} kB\nSwapTotal: 0 kB\n")
    assert [one[0] for one in found(check_memory(machine))] == ([level] if level else [])


def test_swap_on_a_disk_is_told_and_zram_is_not(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/meminfo", "MemTotal: 2048000 kB\nMemAvailable: 1500000 kB\nSwapTotal: 102400 kB\n")
    write(tmp_path, "/proc/swaps", "Filename Type Size\n/dev/zram0 partition 102400\n")
    assert found(check_memory(machine)) == []
    write(tmp_path, "/proc/swaps", "Filename Type Size\n/var/swap file 102400\n")
    assert found(check_memory(machine)) == [("warning", "100 MiB of swap on a disk")]


def test_a_full_disk_and_one_without_inodes(tmp_path, monkeypatch):
    machine = make_machine(tmp_path)
    for free, inodes in ((100, 900), (1 << 21, 10)):
        usage = os.statvfs_result((4096, 4096, 1 << 22, free, free, 1000, inodes, inodes, 0, 255))
        monkeypatch.setattr(resources.os, "statvfs", lambda _, usage=usage: usage)
        assert [one[0] for one in found(check_disk(machine))] == ["error"]


@pytest.mark.parametrize(
    ("mount", "level", "text"),
    [
        ("ro,noatime shared:1 - ext4 /dev/mmcblk0p2 ro", "error", "is mounted read-only"),
        ("rw,noexec - ext4 /dev/mmcblk0p2 rw", "error", "is mounted noexec"),
        ("rw - nfs4 nas:/x rw", "error", "network file system"),
        ("rw - tmpfs tmpfs rw", "warning", "is on tmpfs"),
        ("rw - overlay overlay rw", "warning", "is on overlay"),
    ],
)
def test_file_systems_that_do_not_carry_k3py(tmp_path, mount, level, text):
    machine = make_machine(tmp_path)
    write(tmp_path, "/proc/self/mountinfo", f"1 0 179:2 / / {mount}\n")
    assert any(one[0] == level and text in one[1] for one in found(check_disk(machine)))


def test_errors_that_the_file_system_noted(tmp_path):
    machine = make_machine(tmp_path)
    write(tmp_path, "/sys/fs/ext4/mmcblk0p2/errors_count", "3\n")
    assert ("error", "mmcblk0p2: the file system noted 3 errors") in found(check_disk(machine))


@pytest.mark.parametrize(("each_ms", "level"), [(1, "ok"), (80, "warning"), (900, "error")])
def test_the_speed_of_the_disk(tmp_path, monkeypatch, each_ms, level):
    machine = make_machine(tmp_path)
    monkeypatch.setattr(resources, "_time_syncs", lambda _: [each_ms] * 24)
    assert [one.level for one in check_speed(machine)] == [level]


@pytest.mark.parametrize(
    ("life", "end", "level"), [("0x09 0x01", "0x01", "warning"), ("0x0b 0x01", "0x01", "error"), ("0x01 0x01", "0x03", "warning")]
)
def test_a_worn_memory_card(tmp_path, life, end, level):
    machine = make_machine(tmp_path)
    write(tmp_path, "/sys/class/block/mmcblk0/device/life_time", life)
    write(tmp_path, "/sys/class/block/mmcblk0/device/pre_eol_info", end)
    assert [one[0] for one in found(check_wear(machine))] == [level]


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ('{"nvme_smart_health_information_log": {"percentage_used": 83}}', "warning"),
        ('{"ata_smart_attributes": {"table": [{"name": "Wear_Leveling_Count", "value": 97}]}}', "ok"),
        ("", "ok"),
    ],
)
def test_wear_that_smartctl_tells(tmp_path, monkeypatch, answer, level):
    machine = make_machine(tmp_path)
    for name in ("life_time", "pre_eol_info"):
        (tmp_path / "sys/class/block/mmcblk0/device" / name).unlink()
    monkeypatch.setattr(Machine, "ask", lambda *_: answer)
    assert [one.level for one in check_wear(machine)] == [level]
