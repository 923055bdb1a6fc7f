"""All checks, in the order in which they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.cli.doctor.checks import kernel, neighbours, network, resources, secrets, server, state, time
from k3py.cli.doctor.finding import warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine

CHECKS: Final[tuple[Callable[[Machine], Iterator[Finding]], ...]] = (
    kernel.check_kernel,
    kernel.check_cgroups,
    kernel.check_limits,
    neighbours.check_programs,
    neighbours.check_ports,
    neighbours.check_neighbours,
    resources.check_memory,
    resources.check_disk,
    resources.check_speed,
    resources.check_wear,
    time.check_clock,
    network.check_names,
    network.check_firewall,
    state.check_certificates,
    state.check_datastore,
    secrets.check_secrets,
    server.check_server,
)


def examine(machine: Machine) -> list[Finding]:
    """Run all checks; one that may not read what it needs says so."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check(machine)
        except PermissionError as failure:
            name = check.__name__.removeprefix("check_")
            findings.append(
                warning(
                    name,
                    f"{failure.filename}: {failure.strerror}",
                    "it was not looked at",
                    "run k3py doctor as root",
                )
            )
    return findings
