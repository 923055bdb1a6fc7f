"""/livez, /readyz and /healthz: named checks, all of them or one.

Source: k8s.io/apiserver/pkg/server/healthz v0.35: "ok", or with ?verbose a line a check; failures are 500 and withhold reasons.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_LOG: Final = logging.getLogger(__name__)
ENDPOINTS: Final = ("healthz", "livez", "readyz")


class HealthChecks:
    """The checks of a server, in order of addition; a probe returns what is wrong, "" = nothing.

    `sources` give further checks when asked (`Supervisor.health`: name → fault or None), for all endpoints alike.
    """

    def __init__(self) -> None:
        self._probes: dict[str, tuple[Callable[[], str], frozenset[str]]] = {}
        self._sources: list[tuple[Callable[[], Mapping[str, str | None]], frozenset[str]]] = []
        self.add("ping", lambda: "")

    def add(self, name: str, probe: Callable[[], str], *, endpoints: Iterable[str] = ENDPOINTS) -> None:
        """Add a check."""
        self._probes[name] = (probe, frozenset(endpoints))

    def add_source(
        self, source: Callable[[], Mapping[str, str | None]], *, endpoints: Iterable[str] = ENDPOINTS
    ) -> None:
        """Add checks that come and go."""
        self._sources.append((source, frozenset(endpoints)))

    def run(self, endpoint: str) -> dict[str, str]:
        """Return name → fault of all checks of an endpoint."""
        found = {name: probe() for name, (probe, where) in self._probes.items() if endpoint in where}
        for source, where in self._sources:
            if endpoint in where:
                found.update((name, fault or "") for name, fault in source().items())
        return found

    def answer(
        self, endpoint: str, *, check: str = "", verbose: bool = False, exclude: Sequence[str] = ()
    ) -> tuple[int, str]:
        """Return status and text for an endpoint or one check of it; 404 for a check that does not exist."""
        results = self.run(endpoint)
        if check:
            if check not in results:
                return 404, "404 page not found\n"
            fault = results[check]
            return (500, f"internal server error: {fault}\n") if fault else (200, "ok")
        lines: list[str] = []
        failed: list[str] = []
        for name, fault in results.items():
            if name in exclude:
                lines.append(f"[+]{name} excluded: ok")
            elif fault:
                failed.append(f"{name}: {fault}")
                lines.append(f"[-]{name} failed: reason withheld")
            else:
                lines.append(f"[+]{name} ok")
        if unknown := [name for name in exclude if name not in results]:
            listed = ", ".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {listed}")
        if failed:
            _LOG.info("%s check failed: %s", endpoint, "; ".join(failed))
            return 500, "\n".join((*lines, f"{endpoint} check failed", ""))
        if verbose:
            return 200, "\n".join((*lines, f"{endpoint} check passed", ""))
        return 200, "ok"
