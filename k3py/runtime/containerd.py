"""Containerd: k3py's own containerd as a child process.

It serves one k3py: its own root, state and socket. Stopping k3py stops containerd and leaves the shims, and so the pods, running; the next
one finds them by its state directory. If k3py is killed, the kernel sends containerd SIGTERM (parent-death signal); should one survive all
the same, the next start knows it by the pid file and ends it first, since its locks would block for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError
from k3py.runtime.containerd_config import ContainerdConfig, MachineFacts, render_config
from k3py.runtime.cri.channel import CriChannel
from k3py.runtime.errors import RuntimeFailure, RuntimeUnavailable
from k3py.runtime.extra_runtimes import find_extra_runtimes
from k3py.runtime.images import import_images
from k3py.runtime.images_folder import follow_images_folder
from k3py.runtime.machine import choose_snapshotter, has_sys_resource
from k3py.runtime.program import get_cni_dir, get_program, search_path
from k3py.runtime.registries.hosts_file import write_hosts
from k3py.util.child_process import end_leftover, start_child, stop_child, turn_log_over
from k3py.util.supervise import Component, Policy, TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)

_START_S: Final = 60.0


class Containerd(Component):
    """The child process; usable once CRI answers and the pause image and air-gap archives are imported.

    Raises (from run):
        ConfigError: a program is missing.
        RuntimeUnavailable: containerd does not start or ended by itself.
    """

    def __init__(self, config: ContainerdConfig) -> None:
        self.config = config
        self.images_changed: Callable[[], None] = _nobody  # called when images came by the images folder

    @property
    def name(self) -> str:
        """Return "containerd"."""
        return "containerd"

    @property
    def policy(self) -> Policy:
        """Start it again when it ends."""
        return Policy.RESTART

    async def run(self, started: Callable[[], None]) -> None:
        """Run containerd until cancelled."""
        config = self.config
        program = get_program("containerd", config.bin_dir)
        get_program("containerd-shim-runc-v2", config.bin_dir)
        facts = await read_facts(config, program)
        await asyncio.to_thread(_prepare, config, render_config(config, facts))
        await end_leftover(_pid_file(config), str(config.config_file), self.name)
        process = await start_child(
            [str(program), "--config", str(config.config_file)],
            log_file=config.log_file,
            pid_file=_pid_file(config),
            env=_environment(config),
        )
        try:
            await self._serve(process, started)
        finally:
            await stop_child(process, self.name)
            _pid_file(config).unlink(missing_ok=True)

    async def _serve(self, process: asyncio.subprocess.Process, started: Callable[[], None]) -> None:
        channel = CriChannel(self.config.socket)
        try:
            async with asyncio.timeout(_START_S):
                await _wait_ready(channel, process, self.config.log_file)
            await import_images(self.config, channel)
        except TimeoutError:
            raise RuntimeUnavailable(
                f"containerd does not answer after {_START_S:g} s; see {self.config.log_file}"
            ) from None
        finally:
            channel.close()
        started()
        async with TaskScope() as scope:
            _ = scope.spawn(follow_images_folder(self.config, self.images_changed), name="images-folder")
            code = await process.wait()
            raise RuntimeUnavailable(f"containerd ended with code {code}; see {self.config.log_file}")


def _nobody() -> None:
    """Nobody wants to know."""


async def read_facts(config: ContainerdConfig, program: Path) -> MachineFacts:
    """Find out what the configuration depends on.

    Raises:
        ConfigError: runc or CNI plugins are missing, or containerd is too old.
    """
    process = await asyncio.create_subprocess_exec(
        str(program), "--version", stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    found = re.search(rb"\bv?(\d+)\.(\d+)\.\d+", output)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < (1, 6):
        text = output.decode(errors="replace").strip()
        raise ConfigError(f"{program} is {text!r}; k3py needs containerd 1.6 or newer (CRI v1)")
    extra = await asyncio.to_thread(find_extra_runtimes, config.bin_dir)
    return MachineFacts(
        containerd_version=version,
        runc=get_program("runc", config.bin_dir),
        cni_bin_dir=get_cni_dir(config.bin_dir),
        snapshotter=config.snapshotter or choose_snapshotter(config.root),
        restrict_oom_score_adj=not has_sys_resource(),
        extra_runtimes=extra,
    )


async def _wait_ready(channel: CriChannel, process: asyncio.subprocess.Process, log_file: Path) -> None:
    """Ask until CRI answers: the socket is there before the service is."""
    pause_s = 0.01
    while True:
        try:
            await channel.call("/runtime.v1.RuntimeService/Version", {}, timeout_s=5)
        except RuntimeFailure:
            if process.returncode is not None:
                raise RuntimeUnavailable(
                    f"containerd ended at its start with code {process.returncode}; see {log_file}"
                ) from None
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.1)
        else:
            return


def _prepare(config: ContainerdConfig, text: str) -> None:
    """Make the folders, turn over the log, write the configuration."""
    for folder in (config.root, config.state, config.socket.parent, config.images_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    for folder in (
        config.cni_conf_dir,
        config.registry_dir,
        config.config_file.parent,
        config.log_file.parent,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    turn_log_over(config.log_file)
    write_hosts(config.registry_dir, config.registries)
    config.config_file.write_text(text)


def _pid_file(config: ContainerdConfig) -> Path:
    return config.state / "containerd.pid"


def _environment(config: ContainerdConfig) -> dict[str, str]:
    """Proxies and the like as they are (CONTAINERD_-prefixed variants win), PATH with our own programs first."""
    environment = dict(os.environ)
    for key in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        if value := os.environ.get(f"CONTAINERD_{key}"):
            environment[key] = value
    environment["PATH"] = ":".join(str(folder) for folder in search_path(config.bin_dir))
    environment.pop("NOTIFY_SOCKET", None)  # containerd would tell systemd that k3py is ready
    return environment
