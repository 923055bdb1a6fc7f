"""`bench idle` and `bench wear`: what a machine pays for a Kubernetes that does nothing, or little."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.resource import CONFIG_MAPS
from k3py.cli.bench.figure import Figure
from k3py.cli.bench.processes import disk_written_bytes, find_processes, sample
from k3py.cli.doctor.block_device import device_of
from k3py.cli.machine import Machine
from k3py.config.loader import load_defaults
from k3py.errors import K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    import argparse

    from k3py.cli.bench.namespace import Workspace
    from k3py.cli.bench.processes import Process

_MIB: Final = 1 << 20
_DAY_S: Final = 86400


def _processes(options: argparse.Namespace) -> list[Process]:
    found = find_processes(tuple(options.process))
    if not found:
        raise K3pyError("no process of a Kubernetes was found on this machine; name it with --process")
    return found


async def measure_idle(options: argparse.Namespace) -> list[Figure]:
    """Sample before and after some time of doing nothing."""
    processes = _processes(options)
    before, began = sample(processes), clock.monotonic_s()
    await asyncio.sleep(options.seconds)
    after, seconds = sample(processes), clock.monotonic_s() - began
    names = ", ".join(f"{one.name} {one.pid}" for one in processes)
    return [
        Figure("memory, resident", after.rss_bytes / _MIB, "MiB", names),
        Figure("memory, shared pages counted once", after.pss_bytes / _MIB, "MiB"),
        Figure("CPU", 100 * (after.cpu_s - before.cpu_s) / seconds, "% of one core", f"over {seconds:.0f} s"),
        Figure("wake-ups", (after.wakeups - before.wakeups) / seconds, "/s"),
        Figure("written", (after.written_bytes - before.written_bytes) / _MIB * 3600 / seconds, "MiB/h"),
    ]


async def measure_wear(options: argparse.Namespace, workspace: Workspace | None) -> list[Figure]:
    """Count what reaches the disk, also while one object changes once a second (with a kubeconfig)."""
    processes = _processes(options)
    machine = Machine(root=Path("/"), role="server", values=load_defaults("server"))
    disk = device_of(machine, options.folder).disk
    figures = await _wear(options, processes, disk, "idle", None)
    if workspace is not None:
        figures += await _wear(options, processes, disk, "one change a second", workspace)
    return figures


async def _wear(
    options: argparse.Namespace, processes: list[Process], disk: str, name: str, workspace: Workspace | None
) -> list[Figure]:
    before, began = sample(processes), clock.monotonic_s()
    disk_before = disk_written_bytes(disk) if disk else 0
    changes = 0
    while clock.monotonic_s() - began < options.seconds:
        if workspace is not None:
            patch = {"metadata": {"name": "wear"}, "data": {"changes": str(changes)}}
            if changes:
                await workspace.client.patch(CONFIG_MAPS, "wear", patch, namespace=workspace.name)
            else:
                await workspace.client.create(CONFIG_MAPS, patch, namespace=workspace.name)
            changes += 1
        await asyncio.sleep(1.0 if workspace is not None else options.seconds)
    after, seconds = sample(processes), clock.monotonic_s() - began
    day_mib = (after.written_bytes - before.written_bytes) / _MIB * _DAY_S / seconds
    figures = [Figure(f"{name}: written by the processes", day_mib, "MiB/day", f"over {seconds:.0f} s")]
    if disk:
        disk_mib = (disk_written_bytes(disk) - disk_before) / _MIB * _DAY_S / seconds
        figures.append(Figure(f"{name}: written to {disk} by everybody", disk_mib, "MiB/day"))
    if options.endurance_tb and day_mib > 0:
        years = options.endurance_tb * 1e12 / _MIB / day_mib / 365
        figures.append(
            Figure(
                f"{name}: a disk of {options.endurance_tb:g} TBW lasts",
                years,
                "years",
                "the processes' writes alone",
            )
        )
    return figures
