"""Container runtimes beside runc that are installed on the machine: crun, NVIDIA's, shims for WebAssembly (P-25).

Source: K3s docs "Alternative Container Runtime Support", pkg/agent/containerd/runtimes.go.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError
from k3py.runtime.program import search_path

if TYPE_CHECKING:
    from collections.abc import Sequence

_NVIDIA_DIR: Final = Path("/usr/local/nvidia/toolkit")
_RUNC_LIKE: Final = {
    "crun": "crun",
    "nvidia": "nvidia-container-runtime",
    "nvidia-cdi": "nvidia-container-runtime.cdi",
    "nvidia-experimental": "nvidia-container-runtime-experimental",
}
_SHIMS: Final = {
    "lunatic": "v1",
    "slight": "v1",
    "spin": "v2",
    "wasmedge": "v1",
    "wasmer": "v1",
    "wasmtime": "v1",
    "wws": "v1",
}


@dataclass(frozen=True, slots=True)
class ExtraRuntime:
    """name: its handler, which RuntimeClasses name. type: containerd's name of its shim. program: for runc's shim, None = the shim is all."""

    name: str
    type: str
    program: Path | None = None


def find_extra_runtimes(bin_dir: Path | None = None) -> tuple[ExtraRuntime, ...]:
    """Return what is installed, by name. Blocking."""
    folders = (*search_path(bin_dir), _NVIDIA_DIR)
    found = [
        ExtraRuntime(name, "io.containerd.runc.v2", program)
        for name, file in _RUNC_LIKE.items()
        if (program := _find(file, folders)) is not None
    ]
    found += [
        ExtraRuntime(name, f"io.containerd.{name}.{version}")
        for name, version in _SHIMS.items()
        if _find(f"containerd-shim-{name}-{version}", folders) is not None
    ]
    return tuple(sorted(found, key=lambda one: one.name))


def check_default_runtime(name: str, bin_dir: Path | None = None) -> None:
    """Raise ConfigError unless the runtime is installed; "" = runc. Blocking."""
    if name in ("", "runc"):
        return
    known = ("runc", *(one.name for one in find_extra_runtimes(bin_dir)))
    if name not in known:
        raise ConfigError(f"--default-runtime: {name!r}: must be one that is installed: {', '.join(known)}")


def _find(file: str, folders: Sequence[Path]) -> Path | None:
    return next(
        (path for folder in folders if (path := folder / file).is_file() and os.access(path, os.X_OK)), None
    )
