"""Cgroups of pods in v1 hierarchies and v2, on folders that look like them."""

from __future__ import annotations

import pytest

from k3py.kubelet.cgroups import CgroupTree
from tests.support.kubelet import bound_pod, container

LIMITED = bound_pod(
    containers=[container(resources={"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "500m"}})]
)


@pytest.fixture
def v1(tmp_path):
    for name in ("cpu", "memory", "cpuset"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    return CgroupTree("/k3py", mount=tmp_path)


def test_every_hierarchy_gets_the_groups(v1, tmp_path):
    v1.set_up()
    assert v1.set_up_pod(LIMITED) == "/k3py/kubepods/burstable/poduid-p"
    for name in ("cpu", "memory", "cpuset"):
        assert (tmp_path / name / "k3py/kubepods/burstable/poduid-p").is_dir()
    assert (tmp_path / "cpu/k3py/kubepods/burstable/poduid-p/cpu.shares").read_text() == "512"
    assert (tmp_path / "cpu/k3py/kubepods/burstable/poduid-p/cpu.cfs_quota_us").read_text() == "100000"
    assert (tmp_path / "memory/k3py/kubepods/burstable/poduid-p/memory.limit_in_bytes").read_text() == str(
        64 << 20
    )
    assert v1.pods() == {"uid-p": "/k3py/kubepods/burstable/poduid-p"}


def test_v2_takes_weights_and_maxima(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    for folder in ("", "kubepods", "kubepods/burstable"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.controllers").write_text("cpu memory pids")
        (tmp_path / folder / "cgroup.subtree_control").write_text("cpu memory pids")
    tree = CgroupTree(mount=tmp_path)
    folder = tmp_path / tree.set_up_pod(LIMITED).lstrip("/")
    assert (folder / "cpu.max").read_text() == "100000 100000"
    assert (folder / "cpu.weight").read_text() == "20"
    assert (folder / "memory.max").read_text() == str(64 << 20)


def test_the_burstable_class_gets_what_its_pods_ask_for(v1, tmp_path):
    v1.set_up()
    v1.share_out([LIMITED, LIMITED, bound_pod()])
    assert (tmp_path / "cpu/k3py/kubepods/burstable/cpu.shares").read_text() == "1020"
    v1.share_out([])
    assert (tmp_path / "cpu/k3py/kubepods/burstable/cpu.shares").read_text() == "2"
