"""containerd's configuration for both of its versions, and the machine's facts behind it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from k3py.errors import ConfigError
from k3py.runtime.containerd_config import ContainerdConfig, MachineFacts, render_config
from k3py.runtime.extra_runtimes import ExtraRuntime
from k3py.runtime.machine import choose_snapshotter, filesystem_type, has_sys_resource
from k3py.runtime.program import get_cni_dir, get_program

CONFIG = ContainerdConfig.for_data_dir(Path("/data"), run_dir=Path("/run/k3py"))


def rendered(version, config=CONFIG, **facts):
    defaults = {"runc": Path("/usr/sbin/runc"), "cni_bin_dir": Path("/usr/lib/cni"), "snapshotter": "overlayfs", "restrict_oom_score_adj": True}
    return tomllib.loads(render_config(config, MachineFacts(containerd_version=version, **(defaults | facts))))


def test_version_2_has_everything_in_one_plugin():
    doc = rendered((1, 7))
    assert (doc["version"], doc["root"], doc["state"]) == (2, "/data/agent/containerd", "/run/k3py/containerd")
    cri = doc["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "k3py.io/pause:1"
    assert (cri["stream_server_address"], cri["stream_server_port"]) == ("127.0.0.1", "0")
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/data/agent/etc/cni/net.d"}
    assert cri["containerd"]["snapshotter"] == "overlayfs"
    runc = cri["containerd"]["runtimes"]["runc"]
    assert runc["options"] == {
        "BinaryName": "/usr/sbin/runc",
        "Root": "/run/k3py/containerd/runc",
        "SystemdCgroup": False,
    }
    assert set(doc["plugins"]) == {"io.containerd.grpc.v1.cri", "io.containerd.gc.v1.scheduler"}


def test_version_3_has_images_and_runtime_apart():
    doc = rendered((2, 0))
    assert doc["version"] == 3
    images, runtime = (doc["plugins"][f"io.containerd.cri.v1.{name}"] for name in ("images", "runtime"))
    assert images["pinned_images"] == {"sandbox": "k3py.io/pause:1"}
    assert images["snapshotter"] == "overlayfs"
    assert images["registry"]["config_path"] == "/data/agent/etc/containerd/certs.d"
    assert runtime["cni"]["conf_dir"] == "/data/agent/etc/cni/net.d"
    assert runtime["containerd"]["runtimes"]["runc"]["runtime_type"] == "io.containerd.runc.v2"
    assert "sandbox_image" not in doc["plugins"]["io.containerd.grpc.v1.cri"]


def test_the_folder_of_plugins_is_a_list_since_2_1():
    def cni(version):
        return rendered(version)["plugins"]["io.containerd.cri.v1.runtime"]["cni"]

    assert cni((2, 0)) == {"bin_dir": "/usr/lib/cni", "conf_dir": "/data/agent/etc/cni/net.d"}
    assert cni((2, 1)) == cni((2, 4)) == {"bin_dirs": ["/usr/lib/cni", "/opt/cni/bin"], "conf_dir": "/data/agent/etc/cni/net.d"}


def test_the_single_file_brings_its_own_cni_plugins(tmp_path, monkeypatch):
    plugins = tmp_path / "bin/cni"
    plugins.mkdir(parents=True)
    for name in ("bridge", "host-local", "loopback", "portmap"):
        (plugins / name).touch(mode=0o755)
    monkeypatch.setenv("K3PY_BUNDLE", str(tmp_path))
    assert get_cni_dir(tmp_path / "data/bin") == plugins


@pytest.mark.parametrize("major", [1, 2])
@pytest.mark.parametrize("restricted", [True, False])
def test_oom_scores_are_restricted_exactly_where_the_capability_lacks(major, restricted):
    plugins = rendered((major, 0), restrict_oom_score_adj=restricted)["plugins"]
    name = "io.containerd.cri.v1.runtime" if major == 2 else "io.containerd.grpc.v1.cri"
    assert plugins[name]["restrict_oom_score_adj"] is restricted


def test_odd_characters_in_paths_are_quoted():
    doc = rendered((1, 7), ContainerdConfig.for_data_dir(Path('/da"ta\\x')))
    assert doc["root"] == '/da"ta\\x/agent/containerd'


def test_the_capability_is_bit_24_of_the_bounding_set(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapBnd:\t000001fffeffffff\n")
    assert not has_sys_resource(status)
    status.write_text("Name:\tx\nCapBnd:\t000001ffffffffff\n")
    assert has_sys_resource(status)


def test_overlay_is_chosen_unless_the_disk_is_one_itself(tmp_path):
    filesystems, mounts = tmp_path / "filesystems", tmp_path / "mounts"
    filesystems.write_text("nodev\tproc\n\text4\nnodev\toverlay\n")
    mounts.write_text("1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 / /data rw - ext4 /dev/x rw\n")
    assert choose_snapshotter(Path("/data/agent"), filesystems=filesystems, mounts=mounts) == "overlayfs"
    assert choose_snapshotter(Path("/database"), filesystems=filesystems, mounts=mounts) == "native"
    filesystems.write_text("\text4\n")
    assert choose_snapshotter(Path("/data/agent"), filesystems=filesystems, mounts=mounts) == "native"
    assert filesystem_type(Path("/data/x/y"), mounts=mounts) == "ext4"


def executable(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch(mode=0o755)


def test_k3pys_own_programs_come_first(tmp_path, monkeypatch):
    executable(tmp_path / "own", "runc")
    executable(tmp_path / "path", "runc", "ctr")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert get_program("runc", tmp_path / "own") == tmp_path / "own/runc"
    assert get_program("ctr", tmp_path / "own") == tmp_path / "path/ctr"


def test_a_missing_program_is_told_with_its_package():
    with pytest.raises(ConfigError, match=r"'no-such-program'.*apt-get install no-such-program"):
        get_program("no-such-program")


def test_a_cni_folder_has_all_four_plugins_or_is_told_with_what_lacks(tmp_path):
    executable(tmp_path / "half", "bridge", "loopback")
    executable(tmp_path / "own/cni", "bridge", "host-local", "loopback", "portmap")
    with pytest.raises(ConfigError, match=r"host-local, portmap.*containernetworking-plugins"):
        get_cni_dir(dirs=[tmp_path / "half"])
    assert get_cni_dir(tmp_path / "own", dirs=[tmp_path / "half"]) == tmp_path / "own/cni"


def test_other_runtimes_and_the_default_one():
    config = ContainerdConfig.for_data_dir(Path("/data"), run_dir=Path("/run/k3py"), default_runtime="crun")
    extra = (ExtraRuntime("crun", "io.containerd.runc.v2", Path("/usr/bin/crun")), ExtraRuntime("spin", "io.containerd.spin.v2"))
    found = rendered((2, 0), config, extra_runtimes=extra)["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]
    assert found["default_runtime_name"] == "crun"
    assert found["runtimes"]["spin"] == {"runtime_type": "io.containerd.spin.v2"}
    assert found["runtimes"]["crun"]["options"] == {
        "BinaryName": "/usr/bin/crun",
        "Root": "/run/k3py/containerd/crun",
        "SystemdCgroup": False,
    }
    assert rendered((1, 7))["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["default_runtime_name"] == "runc"
