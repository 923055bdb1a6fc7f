"""Runtimes beside runc that are installed."""

import pytest

from k3py.errors import ConfigError
from k3py.runtime.extra_runtimes import ExtraRuntime, check_default_runtime, find_extra_runtimes


def test_installed_ones_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("k3py.runtime.program.SYSTEM_DIRS", ())
    assert find_extra_runtimes() == ()
    for name in ("containerd-shim-spin-v2", "crun", "nvidia-container-runtime.cdi"):
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "containerd-shim-wws-v1").touch(mode=0o644)
    assert find_extra_runtimes() == (
        ExtraRuntime("crun", "io.containerd.runc.v2", tmp_path / "crun"),
        ExtraRuntime("nvidia-cdi", "io.containerd.runc.v2", tmp_path / "nvidia-container-runtime.cdi"),
        ExtraRuntime("spin", "io.containerd.spin.v2"),
    )
    for name in ("", "runc", "crun"):
        check_default_runtime(name)
    with pytest.raises(ConfigError, match="--default-runtime: 'wws': must be one that is installed: runc, crun"):
        check_default_runtime("wws")
