"""What has to stay free: hard and soft thresholds, what is reclaimed beyond them, and conditions that do not flap."""

from __future__ import annotations

import dataclasses

import pytest

from k3py.kubelet.machine import Pressure, read_pressure
from k3py.kubelet.thresholds import Amount, Threshold, ThresholdWatch

FINE = Pressure(memory_available_bytes=1000, memory_size_bytes=2000, disk_available_bytes=500, disk_size_bytes=1000)
LOW = dataclasses.replace(FINE, memory_available_bytes=100)


def memory(text, **more):
    return Threshold(signal="memory.available", amount=Amount(text), **more)


@pytest.mark.parametrize(("text", "is_met"), [("101", True), ("100", False), ("6%", True), ("5%", False)])
def test_a_hard_threshold_is_met_at_once(text, is_met):
    assert bool(ThresholdWatch((memory(text),)).look(LOW, 0.0)) is is_met


def test_a_soft_threshold_is_met_when_it_holds():
    watch = ThresholdWatch((memory("200", grace_s=60.0),))
    assert watch.look(LOW, 0.0) == []
    assert watch.conditions(0.0)["MemoryPressure"]
    assert watch.look(LOW, 59.0) == []
    assert watch.look(FINE, 59.5) == []
    assert watch.look(LOW, 60.0) == []
    assert watch.look(LOW, 120.0)


def test_what_was_too_little_is_too_little_until_more_is_free():
    watch = ThresholdWatch((memory("200", reclaim=Amount("100")),))
    at = [dataclasses.replace(FINE, memory_available_bytes=one) for one in (250, 150, 250, 300, 250)]
    assert [bool(watch.look(one, 0.0)) for one in at] == [False, True, True, False, False]


def test_a_condition_outlasts_its_cause():
    watch = ThresholdWatch((memory("200"),), transition_s=300.0)
    watch.look(LOW, 0.0)
    watch.look(FINE, 10.0)
    assert watch.conditions(299.0) == {"MemoryPressure": True, "DiskPressure": False, "PIDPressure": False}
    assert not watch.conditions(300.0)["MemoryPressure"]


def test_what_is_not_known_is_not_too_little():
    disk = Threshold(signal="imagefs.available", amount=Amount("50%"))
    assert ThresholdWatch((disk,)).look(FINE, 0.0) == []


def test_this_machine_has_everything(tmp_path):
    found = read_pressure(tmp_path, tmp_path)
    assert 0 < found.pids_available < found.pids
    assert 0 < found.memory_available_bytes < found.memory_size_bytes
    assert found.image_disk_size_bytes == found.disk_size_bytes > 0
